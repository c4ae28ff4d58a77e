"""Bodies of every content type: a document, or UnreadableBody.

A document can be stored and encoded, is not much larger than its body, and is the same after it was written to a row
and read again. Input: the content type, the body.
"""

import base64
import json
import math
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from filas.contract import bounded_json
from filas.contract.storable_text import json_bytes
from filas.decoding.json_body import decode_json
from filas.models.configuration import BodyMode
from ingest.event import body_parsing
from ingest.forms import multipart_form, percent_encoding, urlencoded_form
from ingest.forms.urlencoded_form import TooManyFields
from tests.fuzz.target import first_line

WORDS = (
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
    "; charset=", "utf-16", "shift_jis", "iso-2022-jp", "latin-1", "--x\r\n", "\r\n--x--", "\r\n\r\n", "=", "%", "&",
    'Content-Disposition: form-data; name="', "filename*=utf-8''", "Content-Type: ", "charsets", "payload", '"',
    "\\u", "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "\\ud800", "1e999",
    "NaN", "[{", "application/octet-stream",
)  # fmt: skip
MODES: tuple[BodyMode, ...] = ("auto", "json", "form", "text")


def fuzz(data: bytes) -> None:
    """Reads the body in every mode, and its parts with the readers of which the whole consists."""
    content_type, body = first_line(data)
    content_type = content_type.strip()
    for mode in MODES:
        _check(content_type, body, mode, demands_json=False)
    _check(content_type, body, "auto", demands_json=True)
    _check_json(body)
    _check_urlencoded(body)
    _check_multipart(content_type, body)


def _check(content_type: str, body: bytes, mode: BodyMode, *, demands_json: bool) -> None:
    try:
        content = body_parsing.read(content_type, body, demands_json=demands_json, mode=mode)
    except body_parsing.UnreadableBody as error:
        assert len(str(error)) < 500
        return
    assert not demands_json or isinstance(content.document, dict)
    encoded = msgspec.json.encode(content.embedded)
    # A byte may become a character of three bytes, an escape of six, and a file its base64 and the names around it.
    assert len(encoded) <= 12 * len(body) + 200 * body.count(b"\n") + 200, len(encoded)
    stored = msgspec.json.decode(encoded)
    written, written_type = body_parsing.raw_bytes(content.kind, stored, content_type)
    again = body_parsing.read(written_type, written, mode="text" if content.kind == "text" else "auto")
    if content.kind != "binary" and not _has_files(stored):
        assert _same(msgspec.json.decode(msgspec.json.encode(again.embedded)), stored), (stored, written, again)
    elif content.kind == "binary":
        assert written == body


def _has_files(document: Any) -> bool:
    values = document.values() if isinstance(document, dict) else ()
    return any(isinstance(one, dict | list) for one in values)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check_json(body: bytes) -> None:
    try:
        document, encoded = decode_json(body)
    except bounded_json.InvalidJson as error:
        assert len(str(error)) < 500
        return
    json_bytes(document)
    assert _same(bounded_json.decode(encoded), document)
    try:
        other = json.loads(body)
    except (ValueError, RecursionError):
        return
    if b"\\u" not in body and _is_plain(other):
        assert _same(document, other), (document, other)


def _is_plain(value: Any) -> bool:
    """Whether it has no number that JSON writes and a double does not hold."""
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 2**63)


def _check_urlencoded(body: bytes) -> None:
    assert percent_encoding.unquoted(body) == unquote_to_bytes(body)
    try:
        fields = urlencoded_form.read_fields(body)
    except TooManyFields:
        return
    assert fields == [
        (unquote_to_bytes(name.replace(b"+", b" ")), unquote_to_bytes(value.replace(b"+", b" ")))
        for name, _, value in (field.partition(b"=") for field in body.split(b"&") if field)
    ]


def _check_multipart(content_type: str, body: bytes) -> None:
    try:
        parts = multipart_form.read_form(content_type, body)
    except multipart_form.InvalidForm:
        return
    for part in parts or ():
        base64.b64encode(part.content)
    assert sum(len(part.content) for part in parts or ()) <= len(body)
