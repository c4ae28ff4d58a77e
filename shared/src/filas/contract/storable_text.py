"""Text that UTF-8, JSON or Postgres cannot hold: lone surrogates and NUL.

Such text comes from outside. aiohttp decodes the bytes of a header that are not UTF-8 into lone surrogates (Python's
`surrogateescape`), and JSON may carry a lone surrogate as an escape (`"\\ud800"`). One such value must not fail the
statement, the script call or the message that it shares with other values. This module has every conversion, so all
services and stores treat such text in the same way:

| function            | lone surrogate          | NUL     | used for                                             |
|---------------------|-------------------------|---------|------------------------------------------------------|
| `is_storable`       | False                   | False   | can the text be a contact or a duplicate key?        |
| `is_unicode`        | False                   | True    | can the text be written as UTF-8?                    |
| `to_storable`       | U+FFFD                  | U+FFFD  | text columns of Postgres                             |
| `header_text`       | sent byte, as Latin-1   | U+FFFD  | headers and query of a request, as they are stored   |
| `response_text`     | sent bytes, else U+FFFD | kept    | headers of the responses to our calls                |
| `escape_surrogates` | `\\udxxx`               | kept    | error messages; `escaped_bytes`: values to be hashed |
| `mark_surrogates`   | `?`                     | kept    | e-mail                                               |
| `json_bytes`        | escaped                 | escaped | JSON that is stored or sent                          |
| `sent_bytes`        | the sent byte           | kept    | comparing signatures and tokens                      |
| `lossless_bytes`    | three bytes             | kept    | encryption, signing, hashing                         |
"""

import json
from typing import Any, Final

import msgspec

REPLACEMENT: Final = "\ufffd"
BYTE_ESCAPES: Final = "surrogateescape"
"""The error handler of Python that turns bytes that are not UTF-8 into lone surrogates."""


def is_storable(text: str) -> bool:
    """Whether a text column of Postgres can hold `text`: it has no NUL and no lone surrogate."""
    return "\x00" not in text and is_unicode(text)


def is_unicode(text: str) -> bool:
    """Whether `text` has no lone surrogate, so that UTF-8 can hold it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_storable(text: str) -> str:
    """`text` with each NUL and each lone surrogate replaced by U+FFFD. A pair of surrogates becomes its character."""
    return text.replace("\x00", REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def header_text(text: str) -> str:
    """A header or query parameter as it is stored: bytes that are not UTF-8 read as Latin-1, a NUL as U+FFFD, and a
    lone surrogate that aiohttp does not make (a JSON escape, for example) as a question mark."""
    if text.isascii() and "\x00" not in text:
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _bytes_or_marks(text).decode("latin-1")
    return text.replace("\x00", REPLACEMENT)


def response_text(text: str) -> str:
    """A header of a response: bytes that are not UTF-8 read as U+FFFD. Raises UnicodeEncodeError for other lone
    surrogates, which aiohttp does not make."""
    if text.isascii():
        return text
    return text.encode("utf-8", BYTE_ESCAPES).decode("utf-8", "replace")


def escape_surrogates(text: str) -> str:
    """`text` with each lone surrogate written as `\\udxxx`."""
    return escaped_bytes(text).decode()


def escaped_bytes(text: str) -> bytes:
    """The UTF-8 of `escape_surrogates(text)`."""
    return text.encode("utf-8", "backslashreplace")


def mark_surrogates(text: str) -> str:
    """`text` with each lone surrogate replaced by a question mark."""
    return text.encode("utf-8", "replace").decode()


def json_bytes(value: Any) -> bytes:
    """`value` as JSON. Text with a lone surrogate is written in ASCII, with escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()


def sent_bytes(text: str) -> bytes:
    """The bytes of a header as they were sent."""
    try:
        return text.encode("utf-8", BYTE_ESCAPES)
    except UnicodeEncodeError:
        return lossless_bytes(text)


def lossless_bytes(text: str) -> bytes:
    """Bytes that differ for every `text`: UTF-8, in which a lone surrogate is three bytes."""
    return text.encode("utf-8", "surrogatepass")


def from_lossless_bytes(data: bytes) -> str:
    """The text of which `data` are the `lossless_bytes`. Raises UnicodeDecodeError for other bytes."""
    return data.decode("utf-8", "surrogatepass")


def _bytes_or_marks(text: str) -> bytes:
    try:
        return text.encode("utf-8", BYTE_ESCAPES)
    except UnicodeEncodeError:  # a lone surrogate that is no byte
        return text.encode("utf-8", "replace")
