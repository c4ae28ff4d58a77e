"""Compressed bodies: decoded within the bound, or one of three documented errors. What was encoded is decoded.

Input: the header Content-Encoding, the body.
"""

import gzip
import zlib

import brotli
import zstandard

from ingest.decoding import content_coding
from ingest.decoding.content_coding import DecodedTooLarge, InvalidCoding, UnsupportedCoding, decoded_body
from tests.fuzz.target import first_line

WORDS = ("gzip", "x-gzip", "deflate", "br", "zstd", "identity", ", ")
MAX_DECODED = 64 * 1024


def fuzz(data: bytes) -> None:
    """Decodes the body by the header and by each coding."""
    header, body = first_line(data)
    decoded = {name: _decoded(name, body) for name in (header, "gzip", "deflate", "br", "zstd")}
    content_coding.is_coded({"Content-Encoding": header})
    try:
        expected = gzip.decompress(body) if body else b""
    except (OSError, EOFError, zlib.error):
        expected = None
    found = decoded["gzip"]
    if found is not None and expected is not None:
        assert found == expected
    for name, encoded in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("br", brotli.compress(body, quality=1)),
        ("zstd", zstandard.compress(body)),
        ("gzip, zstd", zstandard.compress(gzip.compress(body))),
    ):
        assert decoded_body(name, encoded, MAX_DECODED) == body


def _decoded(header: str, body: bytes) -> bytes | None:
    try:
        found = decoded_body(header, body, MAX_DECODED)
    except (UnsupportedCoding, InvalidCoding, DecodedTooLarge) as error:
        assert len(str(error)) < 500
        return None
    assert len(found) <= MAX_DECODED
    return found
