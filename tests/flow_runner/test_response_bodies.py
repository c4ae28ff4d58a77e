"""How the body of a response is read: by its content type and its charset, and never half."""

import codecs
from typing import Any

import pytest

from tests.flow_runner.harness import Harness, Response, chain, node, step

JSON = "application/json"
LATIN = "application/json; charset=ISO-8859-1"
DOCUMENT = '{"nome":"São João","n":1}'
READ = {"nome": "São João", "n": 1}
XML = '<?xml version="1.0" encoding="ISO-8859-1"?><a>São</a>'

CASES: list[tuple[str | None, bytes, Any]] = [
    # The charset.
    (JSON, DOCUMENT.encode(), READ),
    (LATIN, DOCUMENT.encode("latin-1"), READ),
    (LATIN, DOCUMENT.encode(), READ),
    ('application/json;charset="windows-1252"', '{"a":"€"}'.encode("cp1252"), {"a": "€"}),
    ("application/json; charset=utf-16", DOCUMENT.encode("utf-16"), READ),
    ("application/json; charset=utf-16le", DOCUMENT.encode("utf-16-le"), READ),
    (JSON, DOCUMENT.encode("utf-16-be"), READ),
    ("application/json; charset=iso-2022-jp", '{"a":"日本"}'.encode("iso2022_jp"), {"a": "日本"}),
    ("application/json; charset=shift_jis", '{"a":"日本"}'.encode("shift_jis"), {"a": "日本"}),
    (JSON, DOCUMENT.encode("latin-1"), READ),
    ("application/json; charset=unknown", DOCUMENT.encode("latin-1"), READ),
    # A byte order mark.
    (JSON, codecs.BOM_UTF8 + DOCUMENT.encode(), READ),
    (LATIN, codecs.BOM_UTF8 + DOCUMENT.encode(), READ),
    ("text/plain", codecs.BOM_UTF8 + "ã".encode(), "ã"),
    ("text/plain", "ã".encode("utf-16"), "ã"),
    (None, codecs.BOM_UTF8 + DOCUMENT.encode(), READ),
    # Text that JSON allows, and numbers beyond a double.
    (JSON, b'{"a":"x\\ud83dy","b":1}', {"a": "x\ufffdy", "b": 1}),
    (JSON, b'{"a":"\\ud83d\\ude00","b":"\\\\ud83d"}', {"a": "😀", "b": "\\ud83d"}),
    (JSON, b'{"a":"\xed\xa0\xbd"}', {"a": "\ufffd"}),
    (JSON, b'{"a":1E400,"b":-1e999,"c":2}', {"a": "1E400", "b": "-1e999", "c": 2}),
    (JSON, b'{"a":1e-400}', {"a": 0.0}),
    (JSON, b'{"a":123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    (JSON, b'{"a":NaN,"b":Infinity}', {"a": None, "b": None}),
    # Content types of JSON.
    ("application/hal+json; charset=utf-8", DOCUMENT.encode(), READ),
    ("text/json", DOCUMENT.encode(), READ),
    (None, DOCUMENT.encode(), READ),
    ("text/html", DOCUMENT.encode(), READ),
    ("application/octet-stream", DOCUMENT.encode(), READ),
    (JSON, b"", None),
    (JSON, b" \r\n", None),
    (JSON, b'"a"', "a"),
    # Texts.
    ("text/plain", b"{oi", "{oi"),
    ("text/plain; charset=iso-8859-1", b"S\xe3o", "São"),
    ("text/plain", b"S\xe3o", "São"),
    ("text/plain; charset=utf-8", "São".encode(), "São"),
    ("text/xml", XML.encode("latin-1"), XML),
    ("application/soap+xml", XML.encode("latin-1"), XML),
    ("text/plain", b"NaN", "NaN"),
    # Several documents are no JSON document.
    ("application/json-seq", b'\x1e{"a":1}\n\x1e{"a":2}', '\x1e{"a":1}\n\x1e{"a":2}'),
    ("application/jsonl; charset=utf-8", b'{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}'),
    ("application/json5", b"{a:1}", "{a:1}"),
    ("application/json-patch+json", b'[{"op":"test"}]', [{"op": "test"}]),
    ("text/plain", b" \n", " \n"),
    ("text/plain", b"12", 12),
    ("application/x-ndjson", b'{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":2}\n'),
    (None, b"\xff", "\ufffd"),
    ("image/png", b"\x89PNG", "\ufffdPNG"),
]  # fmt: skip


async def _answered(status: int, content_type: str | None, body: bytes, **data: Any) -> Any:
    harness = Harness()
    headers = {} if content_type is None else {"Content-Type": content_type}
    harness.outbound.respond = lambda _: Response(status, body, headers)
    end = node("e", "end", output="{{ nodes.a.output.body }}")
    kind = "webhook" if "mode" in data else "api"
    return await harness.run(chain(node("a", kind, url="https://a.example", **data), end))


@pytest.mark.parametrize(("content_type", "body", "read"), CASES, ids=[f"{case[0]} {case[1]!r}"[:80] for case in CASES])
async def test_a_body_is_read_as_it_was_sent(content_type: str | None, body: bytes, read: Any) -> None:
    row = await _answered(200, content_type, body)
    assert (row.status, row.output) == ("succeeded", read)


MALFORMED: list[tuple[bytes, str]] = [
    (b"<html>" + b"x" * 500, "is not valid JSON: line 1, column 1: a value is missing."),
    (b'{"a":1', "is not valid JSON: line 1, column 7: a comma or the closing bracket is missing."),
    (b'{"a":1}{"b":2}', "is not valid JSON: line 1, column 8: there is more text after the document."),
    (b"{'a':1}", "is not valid JSON: line 1, column 2: a name in double quotes is missing."),
    (b"ok", "is not valid JSON: line 1, column 1: a value is missing."),
]


@pytest.mark.parametrize(("body", "message"), MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("content_type", [JSON, LATIN, "application/problem+json"])
async def test_a_body_that_is_declared_as_json_and_is_not_is_an_error(
    body: bytes, message: str, content_type: str
) -> None:
    row = await _answered(200, content_type, body, retry={"maxAttempts": 3})
    assert (row.status, row.error.kind) == ("failed", "malformed-answer")
    assert message in row.error.message
    assert row.error.message.endswith(f"It begins with: {body[:200].decode()}")
    assert '"answer":"text"' in row.error.message
    assert row.error.detail == {"status": 200, "begins": body[:200].decode()}
    assert step(row, "a").output["body"] == body.decode()


@pytest.mark.parametrize(
    ("content_type", "body", "read"),
    [
        (JSON, b"<html>", "<html>"),
        (JSON, b'{"a":1}', '{"a":1}'),
        (LATIN, b'{"a":"\xe3"}', '{"a":"ã"}'),
        (JSON, b"", None),
        ("text/plain", b"12", "12"),
        (None, b"12", "12"),
    ],
)
async def test_a_body_is_a_text_if_the_node_asks_for_it(content_type: str | None, body: bytes, read: Any) -> None:
    row = await _answered(200, content_type, body, answer="text")
    assert (row.status, row.output) == ("succeeded", read)


async def test_an_error_status_is_reported_before_the_body() -> None:
    """A proxy answers with HTML, and states the content type of the service behind it."""
    row = await _answered(502, JSON, b"<html>")
    assert (row.error.kind, step(row, "a").output["body"]) == ("http-status", "<html>")
    row = await _answered(502, JSON, b"<html>", acceptStatus=[502])
    assert row.error.kind == "malformed-answer"


async def test_a_webhook_is_sent_whatever_its_receiver_answers() -> None:
    row = await _answered(200, JSON, b"ok", mode="send")
    assert (row.status, row.output) == ("succeeded", "ok")
