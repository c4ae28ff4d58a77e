"""Bodies as people and providers really send them: marks, charsets, surrogates, missing types, JSON inside a form."""

import codecs
import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.event_envelope import WebhookSnapshot
from filas.models.configuration import BodyMode
from ingest.event.body_parsing import UnreadableBody, raw_bytes, read
from ingest.event.event_jobs import form_of, message_of_stored, scope_of
from tests.ingest.serving import serving, webhook
from tests.shared.repository.builders import event

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
OI = '{"t":"olá"}'


def multipart(*parts: tuple[str, str, bytes]) -> tuple[str, bytes]:
    """The content type and the body of a form with parts (name, content type, content)."""
    lines = [
        b'--cut\r\nContent-Disposition: form-data; name="%b"\r\nContent-Type: %b\r\n\r\n%b\r\n'
        % (name.encode(), kind.encode(), content)
        for name, kind, content in parts
    ]
    return "multipart/form-data; boundary=cut", b"".join(lines) + b"--cut--"


@pytest.mark.parametrize(
    ("body", "document"),
    [
        pytest.param(codecs.BOM_UTF8 + OI.encode(), {"t": "olá"}, id="mark of UTF-8"),
        pytest.param(codecs.BOM_UTF16_LE + OI.encode("utf-16-le"), {"t": "olá"}, id="UTF-16 LE"),
        pytest.param(codecs.BOM_UTF16_BE + OI.encode("utf-16-be"), {"t": "olá"}, id="UTF-16 BE"),
        pytest.param(codecs.BOM_UTF32_LE + OI.encode("utf-32-le"), {"t": "olá"}, id="UTF-32 LE"),
        pytest.param(codecs.BOM_UTF32_BE + OI.encode("utf-32-be"), {"t": "olá"}, id="UTF-32 BE"),
        pytest.param(OI.encode("latin-1"), {"t": "olá"}, id="Latin-1 that is not stated"),
        pytest.param(b'{"t":"oi \\ud83d"}', {"t": "oi \ufffd"}, id="first half of a pair"),
        pytest.param(b'{"t":"\\ude00 oi"}', {"t": "\ufffd oi"}, id="second half of a pair"),
        pytest.param(b'{"t":"\\ud83d\\ud83d\\ude00"}', {"t": "\ufffd\U0001f600"}, id="half and pair"),
        pytest.param(b'{"t":"\\\\ud83d \\ud83d"}', {"t": "\\ud83d \ufffd"}, id="escaped backslash"),
        pytest.param(b'{"\\ud83d":1}', {"\ufffd": 1}, id="half in a name"),
        pytest.param(b'{"t":"\xed\xa0\xbd oi"}', {"t": "\ufffd oi"}, id="half as bytes"),
        pytest.param(b'{"n":1E400}', {"n": "1E400"}, id="number beyond a double"),
        pytest.param(b'{"n":' + b"9" * 400 + b"}", {"n": int("9" * 400)}, id="integer beyond a double"),
        pytest.param(b'{"n":' + b"9" * 5000 + b"}", {"n": "9" * 5000}, id="integer of thousands of digits"),
        pytest.param(b'{"n":NaN}', {"n": None}, id="not a number"),
        pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="repeated name"),
        pytest.param(b" \n[1]", [1], id="white space"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b" \r\n", None, id="only white space"),
        pytest.param(codecs.BOM_UTF8, None, id="only a mark"),
        pytest.param(b"0", 0, id="scalar"),
    ],
)
@pytest.mark.parametrize("content_type", [JSON, "application/vnd.api+json; charset=utf-8"])
def test_json_is_read_as_it_is_sent(content_type: str, body: bytes, document: Any) -> None:
    """The job carries JSON that every other reader can decode."""
    found = read(content_type, body)
    assert (found.kind, found.document) == ("json", document)
    assert msgspec.json.decode(msgspec.json.encode(found.embedded)) == document


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        (b'{"a":1,}', "line 1, column 8", "a name in double quotes is missing"),
        (b'{\n "a" 1}', "line 2, column 6", "a colon is missing after the name"),
        (b"[1 2]", "line 1, column 4", "a comma or the closing bracket is missing"),
        (b"[1,", "line 1, column 4", "a value is missing"),
        (b'{"a":"b', "line 1, column 6", "the text that begins here has no closing quote"),
        (b'{"a":1} x', "line 1, column 9", "there is more text after the document"),
        (b'["\\x"]', "line 1, column 3", "the escape is unknown"),
        (b"oi", "line 1, column 1", "a value is missing"),
    ],
)
def test_an_error_states_the_line_the_column_and_what_is_wrong(body: bytes, where: str, what: str) -> None:
    with pytest.raises(UnreadableBody) as refused:
        read(JSON, body)
    assert str(refused.value) == f"body is not valid JSON: {where}: {what}"


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", codecs.BOM_UTF8 * 2 + b"oi", "oi"),
        ("application/xml", codecs.BOM_UTF8 + b"<a/>", "<a/>"),
        (FORM, codecs.BOM_UTF16_LE * 2 + "a".encode("utf-16-le"), {"a": ""}),
    ],
)
def test_a_second_byte_order_mark_does_not_change_what_is_written(
    content_type: str, body: bytes, expected: Any
) -> None:
    """The row of a job that was enqueued while Postgres was unavailable is read as the request was."""
    found = read(content_type, body)
    assert found.document == expected
    written, written_type = raw_bytes(found.kind, found.embedded, content_type)
    assert read(written_type, written).document == expected


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/html; charset=utf-8", "application/octet-stream"])
def test_json_without_its_type_is_a_document(content_type: str) -> None:
    """Only objects and lists: a text such as `5` or `"x"` stays a text."""
    assert read(content_type, b' {"Type":"Notification"}').document == {"Type": "Notification"}
    assert read(content_type, codecs.BOM_UTF8 + b"[1]").document == [1]
    for text in ("5", '"x"', "null", "{not json", "[x"):
        found = read(content_type, text.encode())
        assert (found.kind, found.document) == ("text", text)


@pytest.mark.parametrize(
    ("mode", "content_type", "body", "expected"),
    [
        ("json", "text/plain", b"5", ("json", 5)),
        ("json", FORM, b'{"a":1}', ("json", {"a": 1})),
        ("form", "text/plain", b"a=1&b=2", ("form", {"a": "1", "b": "2"})),
        ("form", JSON, b"a=1", ("form", {"a": "1"})),
        ("text", JSON, b'{"a":1}', ("text", '{"a":1}')),
        ("text", "", b"[1]", ("text", "[1]")),
        ("text", FORM, b"a=%E1", ("text", "a=%E1")),
    ],
)
def test_a_webhook_may_fix_how_bodies_are_read(
    mode: BodyMode, content_type: str, body: bytes, expected: tuple[str, Any]
) -> None:
    found = read(content_type, body, mode=mode)
    assert (found.kind, found.document) == expected
    row = event(body=body, content_type=content_type, config=msgspec.json.encode(WebhookSnapshot(body=mode)).decode())
    stored = message_of_stored(row)
    assert (stored.body_kind, msgspec.json.decode(msgspec.json.encode(stored.body))) == expected


@pytest.mark.parametrize(
    ("content_type", "body", "name"),
    [
        (f"{FORM}; charset=ISO-8859-1", b"nome=Jo%E3o", "João"),
        (f'{FORM}; charset="iso-8859-1"', b"nome=Jo\xe3o", "João"),
        (FORM, b"nome=Jo%E3o", "João"),
        (FORM, b"nome=Jo%C3%A3o", "João"),
        (f"{FORM}; charset=shift_jis", b"nome=%93%FA%96%7B", "日本"),
        (f"{FORM}; charset=klingon", b"nome=caf%E9+%80", "café €"),
        (f"{FORM}; charset=base64", b"nome=Jo%E3o", "João"),
        (f"{FORM}; charset=utf-8", b"nome=%E3", "ã"),
    ],
)
def test_a_form_is_read_in_its_charset(content_type: str, body: bytes, name: str) -> None:
    """A text that is not in the stated charset is read as Windows-1252."""
    assert read(content_type, body).document == {"nome": name}


def test_a_content_type_that_is_not_utf_8_names_no_boundary() -> None:
    """The bytes of a header that are not UTF-8 are lone surrogates."""
    found = read("multipart/form-data; boundary*=utf-8''\udcff\udcfe", b"--x\r\n\r\n--x--")
    assert found.kind == "text"


def test_each_part_is_read_in_its_own_charset() -> None:
    """SendGrid states the charsets in a field."""
    parts = [("a", "text/plain; charset=iso-8859-1", "João".encode("latin-1")), ("b", "text/plain", "João".encode())]
    assert read(*multipart(*parts)).document == {"a": "João", "b": "João"}
    stated = json.dumps({"subject": "iso-8859-2", "text": "windows-1251"}).encode()
    parts = [
        ("charsets", "text/plain", stated),
        ("subject", "text/plain", "Łódź".encode("iso-8859-2")),
        ("text", "text/plain", "Да".encode("cp1251")),
    ]
    assert read(*multipart(*parts)).document == {"charsets": stated.decode(), "subject": "Łódź", "text": "Да"}


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"Jo\xe3o", "João"),
        ("text/plain", b"Jo\xe3o", "João"),
        ("text/xml; charset=utf-16", "João".encode("utf-16"), "João"),
        ("application/xml; charset=latin1", b"<a>\xe3</a>", "<a>ã</a>"),
    ],
)
def test_a_text_is_read_in_its_charset(content_type: str, body: bytes, text: str) -> None:
    assert read(content_type, body).document == text


def test_the_payload_of_a_form_is_the_document() -> None:
    """GitHub and Slack send JSON in the form field `payload`. The other fields are `webhook.form`."""
    body = urlencode({"payload": '{"action":"opened"}', "token": "t"}).encode()
    assert read(FORM, body).document == {"action": "opened"}
    job = message_of_stored(event(body=body, content_type=FORM))
    assert scope_of(job)["body"] == {"action": "opened"}
    assert form_of(job) == {"token": "t"}
    for text in ("[1]", "5", "{", "oi"):
        assert read(FORM, urlencode({"payload": text}).encode()).document == {"payload": text}
    plain = message_of_stored(event(body=b"a=1", content_type=FORM))
    assert (scope_of(plain)["body"], form_of(plain)) == ({"a": "1"}, {"a": "1"})


_TYPES = st.sampled_from([JSON, FORM, "text/plain", "", "image/png", multipart(("a", "text/plain", b"x"))[0]]).flatmap(
    lambda kind: st.sampled_from([kind, f"{kind}; charset=iso-8859-1", f"{kind}; charset=utf-16", f"{kind}; charset=x"])
)


_BODIES = st.binary(max_size=60) | st.text(max_size=40).map(lambda text: json.dumps(text).encode())


@given(content_type=_TYPES, body=_BODIES)
def test_any_body_is_read_or_refused_and_read_again_alike(content_type: str, body: bytes) -> None:
    """The row is parsed again by the relay and by replays: the document is the same."""
    try:
        found = read(content_type, body)
    except UnreadableBody:
        return
    stored = message_of_stored(event(body=body, content_type=content_type))
    assert stored.body_kind == found.kind
    assert msgspec.json.encode(stored.body) == msgspec.json.encode(found.embedded)
    assert msgspec.json.encode(scope_of(stored))


async def test_a_get_without_a_body_is_null(redis_url: str, postgres_dsn: str) -> None:
    """Also with a JSON content type, which some clients always send."""
    async with serving(redis_url, postgres_dsn, webhook("orders", methods=["GET", "DELETE"])) as app:
        for method in ("GET", "DELETE"):
            async with app.request(method, "orders") as answer:
                assert answer.status == 200, await answer.text()
        assert [job["body"] for job in await app.jobs()] == [None, None]
