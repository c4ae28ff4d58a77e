"""The costs of a flow in each part, and how they are found from two measurements on one machine.

A part pays for each flow and for each batch. With one sender, each batch has one flow. With many senders, batches are
larger, and the statements that Postgres counts for each flow show how much. So two measurements give both costs:

    cost with one sender   = of a flow + of a batch
    cost with many senders = of a flow + of a batch * (statements of a flow with many / statements with one)

The rest of the time that one sender waits is spent on syncs to disk and on waking up: each of the four stages waits
for a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

STAGES: Final = ("ingest", "ingest-worker", "flow-runner", "notifier")
"""The processes that a flow passes, in this order."""

STORES: Final = ("postgres", "redis")
SENDERS: Final = "senders"
PARTS: Final = (SENDERS, *STAGES, *STORES, "ingest-admin")


class Cost(msgspec.Struct, frozen=True):
    """CPU seconds of a part: for each flow, and for each batch of a stage."""

    flow_s: float
    batch_s: float


class Costs(msgspec.Struct, frozen=True):
    """`parts`: those of PARTS. For the stores, a batch is that of one stage. `wait_s`: how long a stage waits for its
    batch to be on disk. The sizes are those of one flow."""

    parts: dict[str, Cost]
    wait_s: float
    wal_bytes: float
    redis_commands: float

    def flow_s(self, *names: str) -> float:
        """The CPU seconds of a flow in large batches, in some parts or in all."""
        return sum(self.parts[name].flow_s for name in names or PARTS)


def calibrated(one: Mapping[str, float], many: Mapping[str, float]) -> Costs:
    """The costs from the figures (`Measured.figures`) with one sender and with many."""
    batches = many["statements"] / one["statements"]
    parts = {}
    for name in PARTS:
        few, full = (figures[f"{name}, CPU ms"] / 1000 for figures in (one, many))
        batch_s = max(0.0, (few - full) / (1 - batches)) if batches < 1 else 0.0
        # A part that has no cost of batches (the senders, the index of words) costs what it costs with many senders.
        batch_s = 0.0 if name in (SENDERS, "ingest-admin") else min(batch_s, few)
        parts[name] = Cost(flow_s=max(0.0, full - batch_s * batches), batch_s=_of_stage(name, batch_s))
    used_s = sum(one[f"{name}, CPU ms"] for name in PARTS if name != "ingest-admin") / 1000
    wait_s = max(0.0, one["p50 ms"] / 1000 - used_s) / len(STAGES)
    return Costs(parts, wait_s, many["WAL bytes"], many["Redis commands"])


def _of_stage(name: str, batch_s: float) -> float:
    """A store is used by the batches of all stages."""
    return batch_s / len(STAGES) if name in STORES else batch_s


def load(path: Path) -> Costs:
    """The saved costs."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)


def save(costs: Costs, path: Path) -> None:
    """Saves the costs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")
