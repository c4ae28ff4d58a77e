"""The costs of a flow in each part, and how they are found from three measurements on one machine.

A part pays for each flow and for each batch, and for being there. What it pays without any load is subtracted first.
With one sender, each batch has one flow. With many senders, batches are larger, and the statements that Postgres counts
for each flow show how much. So two measurements give both costs:

    cost with one sender   = of a flow + of a batch
    cost with many senders = of a flow + of a batch * (statements of a flow with many / statements with one)

The rest of the time that one sender waits is spent on syncs to disk and on waking up: each of the four stages waits
for a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

STAGES: Final = ("ingest", "ingest-worker", "flow-runner", "notifier")
"""The processes that a flow passes, in this order."""

STORES: Final = ("postgres", "redis")
SENDERS: Final = "senders"
ADMIN: Final = "ingest-admin"
"""It builds the index of words beside the way of the flows."""

PARTS: Final = (SENDERS, *STAGES, *STORES, ADMIN)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a part: for each flow, and for each batch of a stage."""

    flow_s: float
    batch_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """`parts`: those of PARTS. For the stores, a batch is that of one stage. `batch`: the flows in the largest batches
    that were measured. `wait_s`: how long a stage waits for its batch to be on disk. `wal_bytes`: those of one flow.
    `idle_cores`: what all parts use without load. `other_cores`: what the rest of the machine used meanwhile."""

    parts: dict[str, Cost]
    batch: float
    wait_s: float
    wal_bytes: float
    idle_cores: float = 0.0
    other_cores: float = 0.0

    def alone_s(self, *names: str) -> float:
        """The CPU seconds of a flow in some parts, or in all, if each batch has one flow."""
        return self._of_flow_s(names, 1.0)

    def loaded_s(self, *names: str) -> float:
        """The same in the largest batches that were measured. Larger ones may cost less."""
        return self._of_flow_s(names, self.batch)

    def _of_flow_s(self, names: tuple[str, ...], batch: float) -> float:
        parts = ((self.parts[name], len(STAGES) if name in STORES else 1) for name in names or PARTS)
        return sum(cost.flow_s + stages * cost.batch_s / batch for cost, stages in parts)


def calibrated(idle: Mapping[str, float], one: Mapping[str, float], many: Mapping[str, float]) -> Costs:
    """The costs from the figures (`Measured.figures`) without load, with one sender and with many."""

    def net(name: str, run: Mapping[str, float]) -> float:
        return max(0.0, run[name] - idle[name] / idle["seconds"] / run["flows/s"])

    batches = min(1.0, net("statements", many) / net("statements", one))
    parts = {}
    for name in PARTS:
        few, full = (net(f"{name}, CPU ms", run) / 1000 for run in (one, many))
        # A part that has no cost of batches (the senders, the index of words) costs what it costs with many senders.
        has_batches = name not in (SENDERS, ADMIN) and batches < 1
        batch_s = min(few, max(0.0, (few - full) / (1 - batches))) if has_batches else 0.0
        parts[name] = Cost(flow_s=max(0.0, full - batch_s * batches), batch_s=_of_stage(name, batch_s))
    used_s = sum(one[f"{name}, CPU ms"] for name in PARTS if name != ADMIN) / 1000
    return Costs(
        parts,
        batch=1 / batches,
        wait_s=max(0.0, 1 / one["flows/s"] - used_s) / len(STAGES),
        wal_bytes=many["WAL bytes"],
        idle_cores=sum(idle[f"{name}, CPU ms"] for name in PARTS) / 1000 / idle["seconds"],
        other_cores=max(0.0, many["cores busy"] + many["cores stolen"] - many["flows/s"] * _used_s(many)),
    )


def _used_s(run: Mapping[str, float]) -> float:
    """The CPU seconds of a flow in all parts, and in their copies."""
    return sum(value for name, value in run.items() if name.endswith(", CPU ms")) / 1000


def _of_stage(name: str, batch_s: float) -> float:
    """A store is used by the batches of all stages."""
    return batch_s / len(STAGES) if name in STORES else batch_s
