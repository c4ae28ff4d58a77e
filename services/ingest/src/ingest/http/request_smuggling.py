"""Checks that a request head has one meaning only, where aiohttp's parser is lenient, and the bounds of a head.

A proxy in front of this process could parse an ambiguous head differently: request smuggling (RFC 9112, 11.2).
"""

import functools
import re
from typing import Final

from aiohttp import hdrs
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

MAX_LINE: Final = 8190
MAX_FIELD: Final = 8190
MAX_HEADERS: Final = 100
MAX_HEAD: Final = 64 * 1024
"""Bounds in bytes of the request target, of one header (name and value), and of the whole head; MAX_HEADERS is a number
of headers. A larger head is answered with 400, and the connection ends."""

_MAX_LENGTH_DIGITS: Final = 18
"""More digits may exceed 64 bits, where parsers differ."""

_REQUEST_LINE: Final = re.compile(rb"[A-Z-]+ [!-~]+ HTTP/1\.[01]\r\n")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=%:\[\]-]*")
_ENCODED_SLASH: Final = re.compile(r"[^?]*%2[Ff]")


class AmbiguousHead(Exception):
    """The head is malformed, or a proxy could parse it differently."""


def check_request_line(data: bytes, begin: int) -> None:
    """Raises AmbiguousHead unless the line at `begin` is a method, a blank, a target in ASCII, a blank, and HTTP/1.0 or
    HTTP/1.1.

    aiohttp's parser also accepts several blanks, `RTSP/1.1` and `ICE/1.0`.
    """
    if _REQUEST_LINE.match(data, begin) is None:
        raise AmbiguousHead


def target_and_headers(message: RawRequestMessage) -> tuple[str, CIMultiDictProxy[str]]:
    """Returns the target as path and query, and the headers. Raises AmbiguousHead if the framing or the host is
    ambiguous.

    RFC 9112: one `Host` (3.2), which an absolute target replaces (3.2.2); no transfer coding but `chunked`, and none in
    HTTP/1.0 (6.1). The parser has already rejected a length together with a transfer coding (6.3), and repeated headers
    of these names.
    """
    headers, version = message.headers, message.version
    hosts = headers.getall(hdrs.HOST, ())
    if len(hosts) != 1 and (hosts or version.minor == 1):
        raise AmbiguousHead
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None and (coding.lower() != "chunked" or version.minor == 0 or message.upgrade):
        raise AmbiguousHead
    length = headers.get(hdrs.CONTENT_LENGTH)
    if length is not None and len(length.lstrip("0")) > _MAX_LENGTH_DIGITS:
        raise AmbiguousHead
    target = message.path
    if not target.startswith("/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            if message.method == "CONNECT":
                raise AmbiguousHead
            return target, headers  # `*`: no address of this listener
        changed = CIMultiDict(headers)
        changed[hdrs.HOST], target = match[1], match[2] if match[2].startswith("/") else f"/{match[2]}"
        headers, hosts = CIMultiDictProxy(changed), [match[1]]
    if hosts and not _is_host(hosts[0]):
        raise AmbiguousHead
    if "%" in target and _ENCODED_SLASH.match(target):
        raise AmbiguousHead
    return target, headers


@functools.lru_cache(maxsize=1024)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None
