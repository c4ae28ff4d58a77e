"""What the head of a request must be, beyond what the parser refuses, and the bounds that it is kept to."""

import functools
import re
from typing import Final

from multidict import CIMultiDict

MAX_LINE: Final = 8190
MAX_FIELD: Final = 8190
MAX_HEADERS: Final = 100
MAX_HEAD: Final = 64 * 1024
"""The longest request line and header, how many headers there may be, and how long all of them may be together;
beyond, 400 and the connection ends."""

_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=%:\[\]-]*")


class MalformedHead(Exception):
    """Whoever stands before us may read this request as another one."""


def origin_form(target: str, headers: CIMultiDict[str], version: str) -> str:
    """The target as path and query, of a request whose framing and host leave no doubt. Raises MalformedHead.

    RFC 9112: one `Host` (3.2), which gives way to that of an absolute target (3.2.2); no transfer coding but
    `chunked`, and none from before there were any (6.1). The parser has refused a length beside it (6.3).
    """
    hosts = headers.getall("Host", ())
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise MalformedHead
    coding = headers.get("Transfer-Encoding")
    if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
        raise MalformedHead
    if not target.startswith("/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            return target  # `*`, or where CONNECT wants to go: nothing of ours
        headers["Host"], target = match[1], match[2] if match[2].startswith("/") else f"/{match[2]}"
        hosts = [match[1]]
    if hosts and not _is_host(hosts[0]):
        raise MalformedHead
    return target


@functools.lru_cache(maxsize=1024)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None
