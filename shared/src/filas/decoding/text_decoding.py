"""Decodes text in the charset that its sender states.

Sources: encoding.spec.whatwg.org (`windows-1252` is what browsers assume for `iso-8859-1` and for unknown labels).
"""

import codecs
import functools
import re
from typing import Final

BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 comes before UTF-16, because its mark begins with that of UTF-16."""

MARK: Final = "\ufeff"
"""The byte order mark as a character."""

_FALLBACK: Final = "cp1252"
_UNLIKE_ASCII: Final = ("utf-16", "utf-32", "iso2022")
"""Codecs whose bytes may be valid UTF-8 and mean something else."""

_LATIN_1: Final = frozenset({"iso8859-1", "ascii", "latin-1"})
"""Names under which senders send Windows-1252."""

_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined", "utf-7"})
_MAX_NAME: Final = 40
_CHARSET: Final = re.compile(r""";[ \t]*charset[ \t]*=[ \t]*["']?([A-Za-z0-9._:+-]{1,40})""", re.IGNORECASE)


def charset_of(content_type: str) -> str | None:
    """The parameter `charset` of a content type, None without one."""
    match = _CHARSET.search(content_type) if ";" in content_type else None
    return None if match is None else match[1]


def decoded_text(data: bytes, charset: str | None = None) -> str:
    """`data` as text, without a byte order mark, which overrides `charset`. A text that is not in `charset`, or that is
    not UTF-8 where no charset is stated, is read as Windows-1252, so that no character is lost.

    All marks at the beginning are left out: a second one would be taken for the first where the text is written as
    UTF-8 and read again.
    """
    return _decoded(data, charset).lstrip(MARK)


def _decoded(data: bytes, charset: str | None) -> str:
    for mark, codec in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    for name in (_codec_of(charset), "utf-8", _FALLBACK):
        if name is not None:
            try:
                return data.decode(name)
            except (UnicodeError, ValueError):
                continue
    return data.decode("latin-1")


def is_unlike_ascii(data: bytes, charset: str | None) -> bool:
    """Whether `data` in `charset` may be valid UTF-8 and mean something else: it has NUL or escape characters."""
    return (b"\0" in data or b"\x1b" in data) and (_codec_of(charset) or "").startswith(_UNLIKE_ASCII)


@functools.lru_cache(maxsize=64)
def _codec_of(charset: str | None) -> str | None:
    if not charset or len(charset) > _MAX_NAME or not charset.isascii():
        return None
    try:
        found = codecs.lookup(charset.strip().strip("\"'").lower())
    except (LookupError, ValueError):
        return _FALLBACK
    if found.name in _NO_CHARSETS or not getattr(found, "_is_text_encoding", False):
        return _FALLBACK
    return _FALLBACK if found.name in _LATIN_1 else found.name
