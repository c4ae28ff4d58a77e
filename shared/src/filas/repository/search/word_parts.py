"""The words of a segment in parts, each with the positions of the events that have the word.

A part holds some thousands of bytes of sorted words and is compressed. It has these fields (little-endian):

| field     | content                                                                                     |
|-----------|---------------------------------------------------------------------------------------------|
| 4 bytes   | the number of words                                                                         |
| 4 bytes   | the length of the next field                                                                |
| words     | the words, with a line feed between them                                                    |
| ends      | for each word, 4 bytes: where its positions end in the last field                           |
| positions | for each word, one byte and then: 0 - each position in 2 bytes; 1 - one bit for each event  |
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from filas.repository.search.event_words import Term

MAX_EVENTS: Final = 2**16
PART_BYTES: Final = 4096
_LEVEL: Final = 1
_HEAD: Final = struct.Struct("<II")
_LIST: Final = b"\0"
_BITS: Final = b"\1"
_BITS_OF_POSITION: Final = 16


def encoded(words: Iterable[tuple[bytes, Sequence[int]]], events: int) -> Iterator[tuple[bytes, bytes]]:
    """The parts of sorted words with their sorted positions, each with its first word. `events`: of the segment."""
    names: list[bytes] = []
    blobs: list[bytes] = []
    size = 0
    for word, positions in words:
        blob = _encoded_positions(positions, events)
        names.append(word)
        blobs.append(blob)
        size += len(word) + len(blob) + 5
        if size >= PART_BYTES:
            yield names[0], _part(names, blobs)
            names, blobs, size = [], [], 0
    if names:
        yield names[0], _part(names, blobs)


def decoded(part: bytes) -> Iterator[tuple[bytes, Sequence[int]]]:
    """The words of a part with their positions."""
    content = _Part(part)
    for index, word in enumerate(content.words):
        yield word, content.positions(index)


def found_in(part: bytes, term: Term) -> int:
    """The events of a part that have the term: bit `n` is set if the event at position `n` has it."""
    content = _Part(part)
    bits = 0
    for index in range(bisect_left(content.words, term.word), len(content.words)):
        word = content.words[index]
        if word != term.word and (term.exact or not word.startswith(term.word)):
            break
        bits |= content.bits(index)
    return bits


class _Part:
    """A decompressed part."""

    def __init__(self, part: bytes) -> None:
        raw = zlib.decompress(part)
        count, length = _HEAD.unpack_from(raw)
        begin = _HEAD.size + length
        self.words = raw[_HEAD.size : begin].split(b"\n")
        self._ends = _numbers("I", raw[begin : begin + 4 * count])
        self._blobs = raw[begin + 4 * count :]

    def positions(self, index: int) -> Sequence[int]:
        """The positions of a word."""
        blob = self._blob(index)
        return _numbers("H", blob[1:]) if blob[:1] == _LIST else ones(int.from_bytes(blob[1:], "little"))

    def bits(self, index: int) -> int:
        """The positions of a word as bits."""
        blob = self._blob(index)
        if blob[:1] == _BITS:
            return int.from_bytes(blob[1:], "little")
        return bits_of(_numbers("H", blob[1:]))

    def _blob(self, index: int) -> bytes:
        return self._blobs[self._ends[index - 1] if index else 0 : self._ends[index]]


def bits_of(positions: Sequence[int]) -> int:
    """A number with a bit for each of the sorted positions."""
    if not positions:
        return 0
    if len(positions) == 1:
        return 1 << positions[0]
    bits = bytearray((positions[-1] >> 3) + 1)
    for position in positions:
        bits[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(bits, "little")


def ones(bits: int) -> Sequence[int]:
    """The positions of the bits that are set."""
    return [
        8 * place + bit
        for place, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) >> 3, "little"))
        if byte
        for bit in range(8)
        if byte >> bit & 1
    ]


def _encoded_positions(positions: Sequence[int], events: int) -> bytes:
    if len(positions) == 1:
        return _LIST + positions[0].to_bytes(2, "little")
    if len(positions) * _BITS_OF_POSITION < events:
        return _LIST + _bytes(array("H", positions))
    return _BITS + bits_of(positions).to_bytes((events + 7) >> 3, "little")


def _part(names: Sequence[bytes], blobs: Sequence[bytes]) -> bytes:
    words = b"\n".join(names)
    ends, end = array("I"), 0
    for blob in blobs:
        end += len(blob)
        ends.append(end)
    return zlib.compress(b"".join((_HEAD.pack(len(names), len(words)), words, _bytes(ends), *blobs)), _LEVEL)


def _numbers(kind: str, raw: bytes) -> array[int]:
    numbers = array(kind, raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
