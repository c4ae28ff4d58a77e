"""The CPU time of a function, in seconds of a machine of a fixed speed, so that a limit means the same anywhere.

A busy or a slower machine needs more CPU time for the same work: cores share their units and caches, and virtual
machines lose time. So a fixed piece of work is measured around each run, and its slowness is removed from the result.
"""

import time
from collections.abc import Callable

import msgspec

REFERENCE_S = 0.003
"""What `_reference_work` takes on the machine whose seconds are meant."""

ROUNDS = 5

_DOCUMENT = msgspec.json.encode([{"id": number, "text": "x" * 20, "values": [number] * 4} for number in range(500)])


def cpu_s(function: Callable[[], object], limit: float | None = None) -> float:
    """The least CPU time of this thread of some runs of `function`. Ends early with a run that is below `limit`."""
    least = float("inf")
    for _ in range(ROUNDS):
        before = slowness()
        used = _thread_s(function)
        least = min(least, used / min(before, slowness()))
        if limit is not None and least < limit:
            break
    return least


def slowness() -> float:
    """How many times as long as on that machine a piece of work takes now: at least 1."""
    return max(1.0, _thread_s(_reference_work) / REFERENCE_S)


def _thread_s(function: Callable[[], object]) -> float:
    began = time.thread_time()
    function()
    return time.thread_time() - began


def _reference_work() -> int:
    """Decodes, walks and encodes documents, as most of our code does."""
    total = 0
    for _ in range(10):
        rows = msgspec.json.decode(_DOCUMENT)
        for row in rows:
            total += row["id"] + len(row["text"]) + sum(row["values"])
        msgspec.json.encode(rows)
    return total
