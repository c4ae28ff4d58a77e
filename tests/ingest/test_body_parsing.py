"""A body is parsed by its content type."""

import base64
import contextlib
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.bounded_json import MAX_DEPTH
from ingest.event.body_parsing import UnreadableBody, raw_bytes, read
from tests.cpu_costs import cpu_s

MULTIPART = "multipart/form-data; boundary=cut"


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    """Returns one part of a multipart form."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers, "", ""]
    return b"--cut\r\n" + "\r\n".join(lines).encode() + content + b"\r\n"


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"])
def test_json_is_embedded_as_received(content_type: str) -> None:
    """It is not decoded and encoded again: the job holds the same bytes."""
    body = b' {"a" : 1.50, "b":"\\u0000"} '
    found = read(content_type, body)
    assert (found.kind, found.document) == ("json", {"a": 1.5, "b": "\0"})
    assert b'"a" : 1.50' in msgspec.json.encode({"body": found.embedded})


@pytest.mark.parametrize(
    "body",
    [
        b"{broken",
        b"{} {}",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
)
def test_an_invalid_json_body_is_unreadable(body: bytes) -> None:
    """Also JSON that later readers could not parse, because of its nesting."""
    with pytest.raises(UnreadableBody):
        read("application/json", body)


def test_nesting_is_bounded_by_depth_not_by_size() -> None:
    """A long list is not deep."""
    assert read("application/json", b"[" + b"[]," * 5000 + b"[]]").kind == "json"
    assert read("application/json", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).kind == "json"


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b"a=b"])
def test_a_provider_of_json_must_send_an_object(body: bytes) -> None:
    """With any content type."""
    with pytest.raises(UnreadableBody):
        read("text/plain", body, demands_json=True)
    assert read("text/plain", b"{}", demands_json=True).document == {}


def test_a_form_is_an_object_of_its_fields() -> None:
    """Repeated fields are lists. Empty fields are kept."""
    found = read("application/x-www-form-urlencoded", b"From=%2B5511&Body=ol%C3%A1+voc%C3%AA&x=1&x=2&x=3&empty=")
    assert found.kind == "form"
    assert found.document == {"From": "+5511", "Body": "olá você", "x": ["1", "2", "3"], "empty": ""}


def test_a_multipart_form_is_an_object_of_its_fields() -> None:
    """Fields are text. A file has its name, type and content."""
    body = (
        part('name="from"', "joão".encode())
        + part('name="file"; filename="a.bin"', b"\x00\xff", "Content-Type: application/octet-stream")
        + b"--cut--\r\n"
    )
    found = read(MULTIPART, body)
    assert found.kind == "form"
    file = {"filename": "a.bin", "contentType": "application/octet-stream", "content": "AP8="}
    assert found.document == {"from": "joão", "file": file}


@pytest.mark.parametrize("body", [b'--cut\nContent-Disposition: form-data; name="a"\n\n1\n--cut--\n', b"--cut", b"1"])
def test_a_body_that_is_not_a_form_is_kept_as_text(body: bytes) -> None:
    """Flows get all of it, for example if its lines end with a line feed only."""
    found = read(MULTIPART, body)
    assert (found.kind, found.document) == ("text", body.decode())


def test_too_many_fields_are_rejected() -> None:
    """No real form has a million keys."""
    with pytest.raises(UnreadableBody):
        read("application/x-www-form-urlencoded", b"&".join(b"a%d=" % number for number in range(1001)))
    with pytest.raises(UnreadableBody):
        read(MULTIPART, b"".join(part(f'name="a{number}"', b"") for number in range(1001)) + b"--cut--")


@pytest.mark.parametrize(
    ("disposition", "headers", "content", "document"),
    [
        ('name="a;b\\"c"', [], b"1", {'a;b"c': "1"}),
        ("name=a", [], b"1", {"a": "1"}),
        ('name="a\\b"', [], b"1", {"a\\b": "1"}),
        ('name="a"; filename="C:\\d\\b.txt"', [], b"1", {"a": ("C:\\d\\b.txt", "text/plain", "MQ==")}),
        ('name="a"; x-size=1; filename="b"', [], b"1", {"a": ("b", "text/plain", "MQ==")}),
        ("name=\"a\"; filename*=UTF-8''ol%C3%A1.txt", [], b"1", {"a": ("olá.txt", "text/plain", "MQ==")}),
        (
            'name="a"; filename="x"; filename*=utf-8\'\'y',
            ["Content-Type: Image/PNG; q=1"],
            b"",
            {"a": ("y", "image/png", "")},
        ),
        ('name="a"', ["Content-Transfer-Encoding: base64"], b"b2w=", {"a": "ol"}),
        ('name="a"', ["Content-Transfer-Encoding: quoted-printable"], b"=41", {"a": "A"}),
        ('name="a"', ["X-Folded: b\r\n c"], b"1\r\n--cu\r\n", {"a": "1\r\n--cu\r\n"}),
        ('filename="a"', [], b"1", {}),
        ('name="a"', ["Content-Type: multipart/mixed; boundary=x"], b"--x\r\n\r\n1\r\n--x--", {}),
    ],
)
def test_the_parts_of_a_form_are_read_as_browsers_send_them(
    disposition: str, headers: list[str], content: bytes, document: dict[str, Any]
) -> None:
    """Quoted names, encoded file names, old transfer encodings. A part without a name, or with parts, is skipped."""
    files = {
        name: dict(zip(("filename", "contentType", "content"), value, strict=True))
        if isinstance(value, tuple)
        else value
        for name, value in document.items()
    }
    for end in (b"--cut--\r\n", b"--cut--", b""):
        body = part(disposition, content, *headers) + end
        assert read(MULTIPART, body if end else body.removesuffix(b"\r\n")).document == files


_MIB = 1 << 20
_OF_ONE_MIB = {
    "encoded words in one name": part('name="' + "=?utf-8?q?a?= " * 80_000 + '"', b""),
    "encoded words in many names": part('name="' + "=?utf-8?q?a?= " * 280 + '"', b"") * 250,
    "empty parts": b"--cut\r\n" * (_MIB // 7),
    "empty parts with an empty head": b"--cut\r\n\r\n" * (_MIB // 9),
    "nested comments": part("name=" + "(" * 3900, b"") * 250,
    "quotes without an end": part('name=a; a="' + "\\" * 3900, b"") * 250,
    "parameters without an end": part("name=a" + "; a=b" * 750, b"") * 250,
    "headers without an end": (b"--cut\r\n" + b"a:b\r\n" * 800 + b"\r\n") * 210,
    "folded lines": (b"--cut\r\na:" + b"\r\n " * 1300 + b"\r\n\r\n") * 250,
    "nearly a boundary": part("name=a", b"\r\n--cu" * (_MIB // 6)),
    "nested forms": b"".join(
        b"--cut\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (depth, depth)
        for depth in range(15_000)
    ),
}


@pytest.mark.parametrize("body", _OF_ONE_MIB.values(), ids=_OF_ONE_MIB.keys())
def test_a_crafted_form_costs_little(body: bytes) -> None:
    """Each is about a MiB, the usual limit. The standard library needs seconds for some of them."""

    def read_or_refuse() -> None:
        with contextlib.suppress(UnreadableBody):
            read(MULTIPART, body)

    assert cpu_s(read_or_refuse, 0.1) < 0.1
    tracemalloc.start()
    try:
        read_or_refuse()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * _MIB


def test_other_bodies_are_text_or_base64() -> None:
    """A text type is text in any case. Another body is text if it is UTF-8."""
    assert read("text/plain", "olá".encode()).document == "olá"
    assert read("", b"").document == ""
    assert read("text/plain", b"\xff\x00").document == "\xff\x00"
    assert read("image/png", b"\xff\x00").document == base64.b64encode(b"\xff\x00").decode()
    assert read("application/x-www-form-urlencoded", b"\xff").document == {"\xff": ""}


_CONTENT_TYPES = st.sampled_from(
    ["", "application/json", "application/x-www-form-urlencoded", MULTIPART, "multipart/form-data", "text/plain", "é;="]
) | st.text(max_size=40)
_PARTS = st.lists(st.binary(max_size=40), max_size=4).map(
    lambda parts: b"--cut\r\n" + b"\r\n--cut\r\nContent-Disposition: form-data; name=".join(parts) + b"\r\n--cut--"
)


@given(content_type=_CONTENT_TYPES, body=st.binary(max_size=200) | _PARTS, demands_json=st.booleans())
def test_any_body_is_parsed_or_rejected(content_type: str, body: bytes, demands_json: bool) -> None:
    """There is no other error, and a parsed body can be encoded in a job and restored from it."""
    try:
        found = read(content_type, body, demands_json=demands_json)
    except UnreadableBody:
        return
    embedded = msgspec.json.encode({"body": found.embedded})
    document: Any = msgspec.json.decode(embedded)["body"]
    again = msgspec.json.decode(msgspec.json.encode(found.document))
    assert document == again
    raw, raw_type = raw_bytes(found.kind, document, content_type)
    if found.kind == "binary":
        assert (raw, raw_type) == (body, content_type)
    elif found.kind == "text":
        assert read(raw_type, raw, mode="text").document == document
    elif found.kind == "form":
        assert read(raw_type, raw).document == document
