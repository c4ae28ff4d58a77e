"""Free memory is returned to the system after a peak, and rarely while it is in use."""

import gc
import weakref

from filas.service import garbage_collection
from filas.service.garbage_collection import MemoryReleaser

MIB = 2**20


class Process:
    """A process with a resident size of which some may be free."""

    def __init__(self) -> None:
        self.used, self.free, self.now, self.trims = 60 * MIB, 0, 0.0, 0

    def resident(self) -> int:
        """The resident size in bytes."""
        return self.used + self.free

    def trim(self, _pad: int) -> int:
        """Returns what is free."""
        self.trims += 1
        self.free = 0
        return 1

    def clock(self) -> float:
        """The time in seconds."""
        return self.now


class Node:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


async def test_memory_is_released_after_a_peak() -> None:
    """At once when the process has grown, with the objects in reference cycles, and again when more is free later."""
    process = Process()
    releaser = MemoryReleaser(process.resident, process.trim, process.clock)
    await releaser.check()
    assert process.trims == 0
    node = Node()
    reference = weakref.ref(node)
    del node
    process.used, process.free = 260 * MIB, 100 * MIB
    gc.disable()
    try:
        await releaser.check()
    finally:
        gc.enable()
    assert (process.trims, process.free, reference()) == (1, 0, None)
    process.used, process.free, process.now = 60 * MIB, 200 * MIB, 5.0
    await releaser.check()
    assert process.resident() == 60 * MIB


async def test_memory_in_use_is_collected_rarely() -> None:
    """A process that needs more memory than at its start is collected a few times in ten minutes."""
    process = Process()
    releaser = MemoryReleaser(process.resident, process.trim, process.clock)
    process.used = 300 * MIB
    for second in range(600):
        process.now = float(second)
        await releaser.check()
    assert process.trims <= 8
    process.used = 400 * MIB
    await releaser.check()
    assert process.trims <= 9


def test_the_size_of_this_process_is_known() -> None:
    """On Linux with glibc, the real functions work."""
    trim = garbage_collection._malloc_trim()
    if trim is not None and garbage_collection._STATM.exists():
        assert garbage_collection._resident_bytes() > 10 * MIB
        assert trim(0) in (0, 1)
