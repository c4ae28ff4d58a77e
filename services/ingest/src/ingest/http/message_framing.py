"""Cuts the bytes of a connection into request heads and pieces of bodies.

The parser gets one head at a time, and no piece reaches from one request into the next one. So a head is checked
as it was sent, whatever the client sends ahead, and the parser can be replaced between two requests.
"""

import re
from typing import Final

from ingest.http.request_smuggling import MAX_HEAD, AmbiguousHead

_BLANK_LINES: Final = re.compile(rb"(?:\r\n)*")
_END: Final = b"\r\n\r\n"
"""What a head ends with, and also a chunked body, with trailers or without."""

MAX_FRAMING: Final = 16
"""How many bytes a chunked body may take on the wire for each of its own, beyond MAX_HEAD. A chunk of one byte takes
six; the rest is for chunk extensions, which are ignored."""

_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,5})\r\n")

MAX_WHOLE: Final = 32 * 1024
"""The longest body that is parsed together with its head: less than what makes aiohttp stop reading."""

_HEAD: Final = -1
_CHUNKED: Final = -2


def whole_request(data: bytes, begin: int, end: int) -> int:
    """Returns the end of the request whose head is `data[begin:end]`, if its body is short and in `data` too; else
    `end`.

    The length is read from `Content-Length`. The caller compares the result with that of the parser, which decides.
    """
    match = _LENGTH.search(data, begin, end)
    if match is None:
        return end
    length = int(match[1])
    return end + length if length <= MAX_WHOLE and end + length <= len(data) else end


class MessageFraming:
    """Knows where the current request ends. A new one expects a head."""

    __slots__ = ("_last_bytes", "_left", "_wire_bytes")

    def __init__(self) -> None:
        self._left = _HEAD
        self._wire_bytes = 0
        self._last_bytes = b""

    @property
    def expects_head(self) -> bool:
        """Whether the next piece is a head."""
        return self._left == _HEAD

    def begin_body(self, length: int | None) -> None:
        """Expects a body of `length` bytes after the head; None: a chunked body."""
        self._left = _CHUNKED if length is None else length
        self._wire_bytes = 0
        self._last_bytes = b""

    def end_body(self) -> bool:
        """Expects a head, because the body is complete. Returns whether the body was chunked."""
        was_chunked, self._left = self._left == _CHUNKED, _HEAD
        return was_chunked

    def next_piece(self, data: bytes, position: int) -> tuple[int, int]:
        """Returns the begin and end of the next piece of `data`, from `position`. An end of -1: the head is not
        complete yet.

        Raises AmbiguousHead for a head beyond MAX_HEAD.
        """
        if self._left == _HEAD:
            return self._next_head(data, position)
        if self._left == _CHUNKED:
            end = self._chunked_end(data, position)
            self._wire_bytes += end - position
            return position, end
        end = min(len(data), position + self._left)
        self._left -= end - position
        return position, end

    def exceeds_framing(self, body_bytes: int) -> bool:
        """Whether a chunked body has too many bytes of framing for the `body_bytes` that were read."""
        return self._left == _CHUNKED and self._wire_bytes > MAX_HEAD + MAX_FRAMING * body_bytes

    def _next_head(self, data: bytes, position: int) -> tuple[int, int]:
        blank = _BLANK_LINES.match(data, position)
        begin = position if blank is None else blank.end()
        end = data.find(_END, begin)
        if (len(data) if end < 0 else end) - begin > MAX_HEAD:
            raise AmbiguousHead
        return begin, end if end < 0 else end + len(_END)

    def _chunked_end(self, data: bytes, position: int) -> int:
        """Returns the end of the next piece: after the next empty line, where the body may end, or of `data`."""
        known = self._last_bytes
        across = (known + data[position : position + 3]).find(_END) if known else -1
        if across >= 0:
            end = position + across + len(_END) - len(known)
        else:
            found = data.find(_END, position)
            end = len(data) if found < 0 else found + len(_END)
        ended = across >= 0 or data.endswith(_END, position, end)
        self._last_bytes = b"" if ended else (known + data[max(position, end - 3) : end])[-3:]
        return end
