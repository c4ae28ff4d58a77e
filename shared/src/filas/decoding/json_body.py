"""Decodes a JSON body as it is really sent: with a byte order mark, in UTF-16, or with half of a surrogate pair.

Nearly every body is decoded at once. The others are repaired first, or get an error with the line and the column.
"""

import json
import math
import re
from typing import Any, Final

import msgspec

from filas.contract import bounded_json
from filas.decoding.text_decoding import BYTE_ORDER_MARKS, charset_of, decoded_text, is_unlike_ascii

_ESCAPES: Final = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""An escaped backslash, a surrogate pair, or (group 1) half of one."""

_WORDS: Final = (
    ("Expecting value", "a value is missing"),
    ("Expecting property name", "a name in double quotes is missing"),
    ("Expecting ':'", "a colon is missing after the name"),
    ("Expecting ','", "a comma or the closing bracket is missing"),
    ("Illegal trailing comma", "there is a comma before the closing bracket"),
    ("Extra data", "there is more text after the document"),
    ("Unterminated string", "the text that begins here has no closing quote"),
    ("Invalid control character", "a text contains a control character"),
    ("Invalid \\u", "the escape \\u needs four hexadecimal digits"),
    ("Invalid \\", "the escape is unknown"),
)


def decode_json(body: bytes, content_type: str = "") -> tuple[Any, bytes]:
    """The document of a body and its JSON in UTF-8. An empty body is null.

    A lone surrogate becomes U+FFFD, a number that exceeds a double the text of its digits, and `NaN` null. Raises
    `bounded_json.InvalidJson`, whose message continues "the body …" and contains no wording of a library.
    """
    if body[:1] in b"{[" and body:
        try:
            return bounded_json.decode(body), body
        except bounded_json.TooComplex:
            raise
        except bounded_json.InvalidJson:
            pass
    return _decode_repaired(body, charset_of(content_type))


def _decode_repaired(body: bytes, charset: str | None) -> tuple[Any, bytes]:
    data = _as_utf8(body, charset)
    if not data.strip():
        return None, b"null"
    bounded_json.check(data)
    try:
        return msgspec.json.decode(data), data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        document = json.loads(data, parse_float=_number, parse_int=_integer, parse_constant=lambda _name: None)
    except json.JSONDecodeError as error:
        raise bounded_json.InvalidJson(_described(error)) from None
    except (ValueError, RecursionError):
        raise bounded_json.InvalidJson("is not valid JSON") from None
    return document, msgspec.json.encode(document)


def _as_utf8(body: bytes, charset: str | None) -> bytes:
    """`body` in UTF-8, without a byte order mark and without lone surrogates."""
    for mark, codec in BYTE_ORDER_MARKS:
        if body.startswith(mark):
            body = body[len(mark) :].decode(codec, "replace").encode("utf-8", "replace")
            break
    else:
        if is_unlike_ascii(body, charset):
            body = decoded_text(body, charset).encode("utf-8", "replace")
        elif b"\0" in body[:2]:
            body = body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", "replace").encode("utf-8", "replace")
    try:
        body.decode()
    except UnicodeDecodeError:
        body = _repaired(body, charset)
    if b"\\u" not in body:
        return body
    return _ESCAPES.sub(lambda match: b"\\ufffd" if match[1] is not None else match[0], body)


def _repaired(body: bytes, charset: str | None) -> bytes:
    """`body`, which is not UTF-8, in UTF-8: surrogates that are written as bytes are replaced, anything else is in
    another charset."""
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return decoded_text(body, charset).encode("utf-8", "replace")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _integer(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:  # it has more digits than Python converts
        return text


def _described(error: json.JSONDecodeError) -> str:
    what = next((ours for theirs, ours in _WORDS if error.msg.startswith(theirs)), "it ends or continues wrongly")
    return f"is not valid JSON: line {error.lineno}, column {error.colno}: {what}"
