"""Python's garbage collector in our processes, and the return of free memory to the system."""

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from filas.periodic import periodic

CHECK_EVERY_S: Final = 1.0
GROWTH_BYTES: Final = 48 * 2**20
"""How much the process may grow before its free memory is returned."""

LITTLE_BYTES: Final = 8 * 2**20
WAIT_S: Final = (4.0, 256.0)
"""The shortest and the longest time between two collections."""

_PAGE_BYTES: Final = 4096
_STATM: Final = Path("/proc/self/statm")


def collect_rarely() -> None:
    """Makes garbage collections rare. Call it when all modules are imported and all long-lived objects exist.

    A request or a job creates hundreds of objects and no reference cycles. With the default threshold of 700 objects,
    collections take 5 % of the time of a request and 17 % of the time of a short job, and a full collection delays the
    slowest answers by a visible time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


async def release_memory() -> None:
    """Returns free memory to the system after each peak, until cancelled. Does nothing where the system is not Linux.

    The memory of large bodies is in parts of the heap that the C library keeps. It also is in reference cycles of
    exceptions and their tracebacks, which rare garbage collections find late.
    """
    trim = _malloc_trim()
    if trim is None or not _STATM.exists():
        return
    releaser = MemoryReleaser(_resident_bytes, trim)
    await periodic("release-memory", releaser.check, CHECK_EVERY_S, wait_first=True)


class MemoryReleaser:
    """Releases memory while the process is larger than at its start by more than GROWTH_BYTES.

    A collection stops the process for some milliseconds. If it releases little, the memory is in use, and the next one
    follows after twice the time, unless the process grows further.
    """

    def __init__(
        self,
        resident_bytes: Callable[[], int],
        trim: Callable[[int], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident_bytes = resident_bytes
        self._trim = trim
        self._clock = clock
        self._at_start = self._last = resident_bytes()
        self._wait_s = WAIT_S[0]
        self._next = clock()

    async def check(self) -> None:
        """Collects garbage and returns free memory, if it is time."""
        resident = self._resident_bytes()
        if resident <= self._at_start + GROWTH_BYTES:
            self._wait_s = WAIT_S[0]
            return
        if self._clock() < self._next and resident <= self._last + GROWTH_BYTES:
            return
        gc.collect()
        self._trim(0)
        self._last = self._resident_bytes()
        self._wait_s = WAIT_S[0] if resident - self._last >= LITTLE_BYTES else min(2 * self._wait_s, WAIT_S[1])
        self._next = self._clock() + self._wait_s


def _resident_bytes() -> int:
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def _malloc_trim() -> Callable[[int], int] | None:
    """Returns glibc's `malloc_trim`; None where the C library has none."""
    with suppress(OSError, AttributeError):
        function: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return function
    return None
