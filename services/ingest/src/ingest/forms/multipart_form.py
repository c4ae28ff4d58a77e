"""Multipart forms (RFC 7578), read in one pass with every part bounded.

The email package of the standard library reads them too, but with a cost that is quadratic in a crafted header, and
with nested parts and comments without bound.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from filas.contract.storable_text import sent_bytes
from filas.errors import FilasError
from ingest.forms.percent_encoding import unquoted

MAX_PARTS: Final = 1000
MAX_PART_HEAD: Final = 4096
MAX_HEADS: Final = 128 * 1024
"""How many bytes the headers of one part, and of all parts together, may have."""

_MAX_PARAMETERS: Final = 10
_PARAMETER: Final = re.compile(r';[ \t]*([A-Za-z][\w.-]*\*?)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;" \t]*))[ \t]*')
_TYPE: Final = re.compile(r"[^;]*")
_BOUNDARY: Final = re.compile(r"[ -~]{0,69}[!-~]")
_HEAD_END: Final = b"\r\n\r\n"


class InvalidForm(FilasError):
    """The form exceeds a bound."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a form. `filename` and `content_type` are those of a file; None and `text/plain` for a text. `charset`
    is that of a text, None if it is not stated."""

    name: str
    filename: str | None
    content_type: str
    content: bytes
    charset: str | None = None


def read_form(content_type: str, body: bytes) -> list[Part] | None:
    """Returns the parts of a form that have a name, in their order. None if the body is not a multipart form.

    A part that is a multipart body itself is skipped: RFC 7578 has abandoned nesting. Raises InvalidForm beyond
    MAX_PARTS, MAX_PART_HEAD and MAX_HEADS. The cost is linear in the size of the body.
    """
    boundary = _parameters(content_type).get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        return None
    delimiter = b"\r\n--" + boundary.encode()
    begin = 0 if body.startswith(delimiter[2:]) else body.find(delimiter)
    if begin < 0:
        return None
    position = begin + len(delimiter) - (2 if begin == 0 and body.startswith(delimiter[2:]) else 0)
    if not body.startswith(b"--", position) and body.find(b"\r\n", position) < 0:
        return None  # for example, lines that end with a line feed only: no content must be dropped
    found: list[Part] = []
    heads = 0
    for number, (start, end) in enumerate(_between(body, delimiter, position)):
        if number == MAX_PARTS:
            raise InvalidForm(f"the form has more than {MAX_PARTS} parts")
        head_end = _head_end(body, start, end)
        heads += head_end - start
        if heads > MAX_HEADS:
            raise InvalidForm(f"the headers of all parts exceed {MAX_HEADS} bytes")
        part = _part(body, start, head_end, end)
        if part is not None:
            found.append(part)
    return found


def _between(body: bytes, delimiter: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends; `position` is after the first delimiter. A last delimiter may be missing."""
    while not body.startswith(b"--", position):
        end = body.find(delimiter, position)
        line_end = body.find(b"\r\n", position)
        if line_end < 0:
            return
        yield line_end + 2, len(body) if end < 0 else end
        if end < 0:
            return
        position = end + len(delimiter)


def _head_end(body: bytes, start: int, end: int) -> int:
    """The end of a part's last header; `end` if no content follows."""
    head_end = body.find(_HEAD_END, start - 2, min(end, start + MAX_PART_HEAD) + len(_HEAD_END))
    if head_end < 0 and end - start > MAX_PART_HEAD:
        raise InvalidForm(f"the headers of a part exceed {MAX_PART_HEAD} bytes")
    return end if head_end < 0 else max(start, head_end)


def _part(body: bytes, start: int, head_end: int, end: int) -> Part | None:
    headers = _headers(body[start:head_end].decode("utf-8", "replace"))
    named = _parameters(headers.get("content-disposition", ""))
    content_type = headers.get("content-type", "text/plain")
    match = _TYPE.match(content_type)
    media_type = (match[0] if match is not None else "").strip().lower()
    if "name" not in named or media_type.startswith("multipart/"):
        return None
    content = _decoded(body[head_end + len(_HEAD_END) : end], headers.get("content-transfer-encoding", ""))
    charset = _parameters(content_type).get("charset") if ";" in content_type else None
    return Part(named["name"], named.get("filename"), media_type, content, charset)


def _headers(head: str) -> dict[str, str]:
    """The headers with lower-case names. The first one of a name counts; a folded line continues the one before it."""
    found: dict[str, str] = {}
    for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _parameters(value: str) -> dict[str, str]:
    """The parameters of a header such as `form-data; name="a"`. `filename*` (RFC 8187) replaces `filename`."""
    match = _TYPE.match(value)
    position = match.end() if match is not None else 0
    found: dict[str, str] = {}
    for _ in range(_MAX_PARAMETERS):
        match = _PARAMETER.match(value, position)
        if match is None:
            break
        name, quoted, plain = match[1].lower(), match[2], match[3]
        # Browsers send a backslash as it is, and old ones a whole path as the name of a file.
        text = re.sub(r'\\(["\\])', r"\1", quoted) if quoted is not None else plain
        if name.endswith("*"):
            charset, _, encoded = text.partition("'")
            value_bytes = unquoted(sent_bytes(encoded.partition("'")[2]))
            name, text = name[:-1], value_bytes.decode(_charset(charset), "replace")
            found.pop(name, None)
        found.setdefault(name, text)
        position = match.end()
    return found


def _charset(name: str) -> str:
    return "latin-1" if name.strip().lower() == "iso-8859-1" else "utf-8"


def _decoded(content: bytes, transfer_encoding: str) -> bytes:
    """The content without its transfer encoding, which RFC 7578 has abandoned but some senders use."""
    encoding = transfer_encoding.strip().lower()
    try:
        if encoding == "base64":
            return binascii.a2b_base64(content)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(content)
    except binascii.Error:
        return content
    return content
