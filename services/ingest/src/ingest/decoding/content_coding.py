"""Decodes a body by its `Content-Encoding`, within a bound that holds while it is decoded.

Sources: RFC 9110, 8.4; RFC 1952 (gzip); RFC 1950 and 1951 (deflate, which some senders send without its wrapper);
RFC 7932 (br); RFC 8878 (zstd).
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import brotli
import zstandard

from filas.errors import FilasError

HEADER: Final = "Content-Encoding"
MAX_CODINGS: Final = 2
MAX_MEMBERS: Final = 100
"""The largest number of gzip members or zstd frames in one body."""

_PIECE: Final = 256
"""How many bytes of zstd are decoded at a time: they can become 8 MiB."""

_MAX_WINDOW: Final = 8 * 1024 * 1024
"""The memory that a decoder of zstd may use, in bytes, as RFC 8878 recommends."""

_GZIP, _ZLIB, _RAW = 31, 15, -15


class UnsupportedCoding(FilasError):
    """The coding is not known, or there are too many."""


class InvalidCoding(FilasError):
    """The body is not in the coding that its header states, or ends early."""


class DecodedTooLarge(FilasError):
    """The decoded body exceeds the limit."""


def is_coded(headers: Mapping[str, str]) -> bool:
    """Whether a body with these headers has to be decoded."""
    return HEADER in headers and bool(_codings(headers[HEADER]))


def decoded_body(header: str, body: bytes, max_bytes: int) -> bytes:
    """`body` without the codings that `header` lists, in the order in which they were applied.

    Raises UnsupportedCoding, InvalidCoding and DecodedTooLarge (at most `max_bytes` bytes and one buffer are decoded).
    """
    codings = _codings(header)
    if len(codings) > MAX_CODINGS:
        raise UnsupportedCoding(f"body has {len(codings)} content codings; the limit is {MAX_CODINGS}")
    for coding in codings:
        if coding not in _DECODERS:
            raise UnsupportedCoding(f"unknown content coding {coding[:40]!r}; known are gzip, deflate, br and zstd")
    for coding in reversed(codings):
        if not body:
            break
        try:
            body = _DECODERS[coding](body, max_bytes)
        except (zlib.error, brotli.error, zstandard.ZstdError):
            raise InvalidCoding(f"body is not valid {coding}") from None
        if len(body) > max_bytes:
            raise DecodedTooLarge(f"decoded body exceeds {max_bytes} bytes")
    return body


def _codings(header: str) -> list[str]:
    named = (name.strip().lower().removeprefix("x-") for name in header.split(","))
    return [name for name in named if name not in ("", "identity")]


def _gzip(body: bytes, max_bytes: int) -> bytes:
    found = bytearray()
    for _ in range(MAX_MEMBERS):
        decoder = zlib.decompressobj(_GZIP)
        found += decoder.decompress(body, max_bytes + 1 - len(found))
        if len(found) > max_bytes:
            break
        if not decoder.eof:
            raise InvalidCoding("body ends before its gzip data is complete")
        body = decoder.unused_data.lstrip(b"\0")  # padding is allowed after the last member
        if not body:
            break
    else:
        raise InvalidCoding(f"body has more than {MAX_MEMBERS} gzip members")
    return bytes(found)


def _deflate(body: bytes, max_bytes: int) -> bytes:
    for bits in (_ZLIB, _RAW):
        decoder = zlib.decompressobj(bits)
        try:
            found = decoder.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(found) <= max_bytes and not decoder.eof:
            raise InvalidCoding("body ends before its deflate data is complete")
        return found
    raise InvalidCoding("body is not valid deflate")


def _br(body: bytes, max_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    found = bytearray(decoder.process(body, output_buffer_limit=max_bytes + 1))
    while not decoder.is_finished() and len(found) <= max_bytes:
        more = decoder.process(b"", output_buffer_limit=max_bytes + 1 - len(found))
        if not more:
            raise InvalidCoding("body ends before its br data is complete")
        found += more
    return bytes(found)


def _zstd(body: bytes, max_bytes: int) -> bytes:
    found = bytearray()
    for _ in range(MAX_MEMBERS):
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
        for begin in range(0, len(body), _PIECE):
            found += decoder.decompress(body[begin : begin + _PIECE])
            if decoder.eof or len(found) > max_bytes:
                break
        if len(found) > max_bytes:
            break
        if not decoder.eof:
            raise InvalidCoding("body ends before its zstd data is complete")
        body = decoder.unused_data + body[begin + _PIECE :]
        if not body:
            break
    else:
        raise InvalidCoding(f"body has more than {MAX_MEMBERS} zstd frames")
    return bytes(found)


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _br,
    "zstd": _zstd,
}
