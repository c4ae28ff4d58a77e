"""Decodes JSON that comes from outside, with bounds on the time and the memory that it takes.

A short text can be costly in three ways. Objects and lists take up to a hundred times their text in memory. Deep
nesting exhausts the stack of a later reader. A number such as `1e290` takes msgspec 8 microseconds, two hundred times
as long as other numbers. All three are counted before anything is decoded, so the limits hold for every later reader
of the same document too.
"""

import re
from itertools import accumulate, islice
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 200
MAX_CONTAINERS: Final = 10_000
BYTES_PER_CONTAINER: Final = 16
MAX_LARGE_EXPONENTS: Final = 500
"""How deeply a document may be nested; how many objects and lists it may have, or one per BYTES_PER_CONTAINER of its
size if that is more; and how many numbers with an exponent of three or more digits it may have."""

_UNCHECKED_BYTES: Final = MAX_LARGE_EXPONENTS * len(b"1e290,")
"""A shorter document has too few numbers to exceed the limit."""

_PIECE: Final = 16 * 1024
"""How many bytes are split at a time, so that a document of quotation marks takes little memory."""

_OPENING: Final = b"[{"
_CLOSING: Final = b"]}"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_OPENING + _CLOSING))
_STEPS: Final = bytes(1 if byte in _OPENING else 255 if byte in _CLOSING else 0 for byte in range(256))
"""The change of the depth at each byte, as a signed byte."""

_SHAPES: Final = bytes.maketrans(b"123456789E-", b"000000000e+")
_NO_NUMBERS: Final = bytes(set(range(256)) - set(b"0123456789eE+-"))
"""Make all digits, both letters and both signs equal, and drop all other bytes."""

_LARGE_EXPONENT: Final = re.compile(rb"[0-9][eE][+-]?0*[1-9][0-9]{2}")


class InvalidJson(ValueError):
    """A text is not JSON, or exceeds a limit. The message continues "the body …"."""


class TooComplex(InvalidJson):
    """A text exceeds a limit. It may be JSON."""


def decode(data: bytes) -> Any:
    """Returns the document. Raises InvalidJson, whose message names the error or the limit."""
    check(data)
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidJson(f"is not valid JSON: {error}") from None


def check(data: bytes) -> None:
    """Raises TooComplex if `data` exceeds the bounds above. It may still be invalid.

    The time is linear, and far shorter than that of decoding. A small document is only searched for brackets.
    """
    opened = data.count(b"[") + data.count(b"{")
    if opened > MAX_DEPTH:
        most = max(MAX_CONTAINERS, len(data) // BYTES_PER_CONTAINER)
        data = _without_texts(data)
        if data.count(b"[") + data.count(b"{") > most:
            raise TooComplex(f"has more than {most} objects and lists")
        steps = memoryview(data.translate(_STEPS, _NO_BRACKETS)).cast("b")
        if max(accumulate(steps), default=0) > MAX_DEPTH:
            raise TooComplex(f"is nested deeper than {MAX_DEPTH} levels")
    if len(data) < _UNCHECKED_BYTES or _exponents(data) <= MAX_LARGE_EXPONENTS:
        return
    if opened <= MAX_DEPTH:
        data = _without_texts(data)
    large = islice(_LARGE_EXPONENT.finditer(data), MAX_LARGE_EXPONENTS + 1)
    if sum(1 for _ in large) > MAX_LARGE_EXPONENTS:
        raise TooComplex(f"has more than {MAX_LARGE_EXPONENTS} numbers with an exponent of three or more digits")


def _without_texts(data: bytes) -> bytes:
    """`data` without the texts in quotation marks. Pairs of backslashes go first: the second one escapes nothing."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside: list[bytes] = []
    inside = 0
    for begin in range(0, len(data), _PIECE):
        pieces = data[begin : begin + _PIECE].split(b'"')
        outside.append(b"".join(pieces[inside::2]))
        inside ^= (len(pieces) - 1) & 1
    return b"".join(outside)


def _exponents(data: bytes) -> int:
    """An upper bound of the number of large exponents, also in texts. Takes less time than the regular expression."""
    shape = data.translate(_SHAPES, _NO_NUMBERS)
    return shape.count(b"0e000") + shape.count(b"0e+000")
