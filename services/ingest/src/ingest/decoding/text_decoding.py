"""Decodes text in the charset that its sender states.

Sources: encoding.spec.whatwg.org (`windows-1252` is what browsers assume for `iso-8859-1` and for unknown labels).
"""

import codecs
import functools
import re
from typing import Final

_FALLBACK: Final = "cp1252"
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
    """`data` as text. A text that is not in `charset`, or that is not UTF-8 where no charset is stated, is read as
    Windows-1252, so that no character is lost."""
    for name in (_codec_of(charset), "utf-8", _FALLBACK):
        if name is not None:
            try:
                return data.decode(name).replace("\ufeff", "", 1) if name == "utf-8" else data.decode(name)
            except (UnicodeError, ValueError):
                continue
    return data.decode("latin-1")


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
