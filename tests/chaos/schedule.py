"""The seeded schedule of faults: which one, on what, from when, and for how long."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.process_table import PROCESSES, WORKERS

STORES: Final = ("redis", "postgres")
RECEIVERS: Final = ("messages", "crm")
PROCESS_NAMES: Final = (*PROCESSES, *(f"{name}-2" for name in WORKERS))

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    **{f"{name}s": (name, f"{name}-2") for name in WORKERS},
    "workers": tuple(one for name in WORKERS for one in (name, f"{name}-2")),
    "processes": PROCESS_NAMES,
}
"""Processes that a deploy replaces one after the other."""

UPGRADED: Final = ("ingest", *GROUPS["workers"])
"""The processes that enqueue and run jobs. An upgrade replaces them all in the end."""

LINKS: Final = (
    *(f"{process}/{store}" for process in PROCESS_NAMES for store in STORES),
    *(f"outside/{receiver}" for receiver in RECEIVERS),
)
"""Each process has a link of its own to each store. All processes share the link to a receiver."""

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "kill": PROCESS_NAMES,
    "stop": PROCESS_NAMES,
    "restart": PROCESS_NAMES,
    "rolling-restart": tuple(GROUPS),
    "upgrade": ("ingest", *(f"{name}s" for name in WORKERS), "workers"),
    "clock-ahead": GROUPS["workers"],
    "clock-behind": GROUPS["workers"],
    "store-kill": STORES,
    "store-stall": STORES,
    "store-full": STORES,
    "store-disk-full": STORES,
    "redis-flush": ("redis",),
    "redis-failover": ("redis",),
    "postgres-lock": ("postgres",),
    "postgres-failover": ("postgres",),
    "link-slow": LINKS,
    "link-cut": LINKS,
    "link-one-way": LINKS,
    "receiver-down": RECEIVERS,
    "receiver-slow": RECEIVERS,
    "receiver-garbage": RECEIVERS,
    "receiver-busy": RECEIVERS,
    "hostile-senders": ("ingest",),
    "hostile-bodies": ("ingest",),
    "hostile-heads": ("ingest",),
    "hostile-requests": ("ingest",),
}
"""Each kind of fault, and what it can hit. `rolling-restart`: one process after the other, as a deploy does. `upgrade`:
the processes get a build with a newer job schema, go back, and get it again with all others. `clock-…`: the wall clock
of a worker is ahead or behind. `store-full`: Redis at its memory limit, Postgres without a free connection.
`store-disk-full`: the file system of its data. `postgres-lock`: a session holds a lock on a busy table.
`redis-failover`: the replica is promoted. `postgres-failover`: to a restored backup. `receiver-busy`: answers 429."""

PROCESS_KINDS: Final = frozenset({"kill", "stop", "restart", "rolling-restart", "upgrade"})

LOSES_REDIS: Final = frozenset({"redis-flush", "redis-failover"})

LONG_KINDS: Final = frozenset({"rolling-restart", "upgrade"})
"""Others come and go while these last."""

MOST_AT_ONCE: Final = 3
LASTS_S: Final = (1.0, 8.0)
"""How long a fault lasts, at least and at most."""

LONGER_S: Final = {"store-disk-full": (4.0, 12.0), "redis-failover": (12.0, 20.0), "postgres-failover": (8.0, 16.0)}
"""The same for kinds that need longer to have their effect or to be over."""

REPLACED_IN_S: Final = 3.0
"""How long the replacement of one process takes at load, about: it drains, starts and becomes ready."""

PAUSE_S: Final = (2.0, 5.0)
"""How long nothing is wrong after the faults of a window, at least and at most."""

STORE_PAUSE_S: Final = 15.0
"""How long a store works before the other one fails. A webhook that was accepted without one store is only in the other
one until it has been written to both: the promise is about the loss of one store."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `number` counts from 1, so that a run can leave it out; the times are in seconds, `at_s` from the
    beginning of the run. `may_promote`: Sentinels may make another server the master meanwhile."""

    number: int
    kind: str
    target: str
    at_s: float
    lasts_s: float
    may_promote: bool = False

    @property
    def ends_s(self) -> float:
        """When it ends."""
        return self.at_s + self.lasts_s

    @property
    def processes(self) -> tuple[str, ...]:
        """The processes that it kills, stops or replaces."""
        if self.kind == "upgrade":
            return UPGRADED
        return GROUPS.get(self.target, (self.target,)) if self.kind in PROCESS_KINDS else ()

    @property
    def parts(self) -> frozenset[str]:
        """What it hits: processes, stores and receivers. A link belongs to both of its ends."""
        return frozenset(self.processes or self.target.split("/")) - {"outside"}

    @property
    def store(self) -> str | None:
        """The store that it makes unavailable, or None. A fault of a link of `ingest` does so too: `ingest` accepts
        with the other store alone."""
        process, _, other = self.target.partition("/")
        if process in STORES:
            return process
        return other if process == "ingest" and other in STORES else None

    @property
    def loses_redis(self) -> bool:
        """Whether Redis loses data, so that its counters begin again or go back."""
        return self.kind in LOSES_REDIS or self.may_promote

    def __str__(self) -> str:
        return f"#{self.number} {self.kind} {self.target} from {self.at_s:.1f} s for {self.lasts_s:.1f} s"


def schedule(
    seed: int, seconds: float, *, kinds: Sequence[str] = tuple(KINDS), without: Iterable[int] = ()
) -> list[Fault]:
    """The faults of a run of `seconds`, in the order of their beginnings: one to three in each window, then a pause.

    The same seed and kinds give the same faults. `without` are the numbers of faults to leave out; the others stay as
    they are.
    Two faults that overlap have different targets and at most one store between them.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    left: list[str] = []
    at = chance.uniform(*PAUSE_S)
    while at < seconds:
        ends = at
        for _ in range(chance.randint(1, MOST_AT_ONCE)):
            if not left:  # each kind once, in a random order, before one comes again
                left = chance.sample(kinds, len(kinds))
            kind = left.pop()
            fault = _fault(chance, len(faults) + 1, kind, at + chance.uniform(0.0, 2.0))
            if fault.ends_s > seconds:
                continue
            if not _fits(fault, faults):
                left.insert(0, kind)
                continue
            faults.append(fault)
            if kind not in LONG_KINDS:
                ends = max(ends, fault.ends_s)
        at = ends + chance.uniform(*PAUSE_S)
    left_out = frozenset(without)
    return sorted((one for one in faults if one.number not in left_out), key=lambda one: (one.at_s, one.number))


def _fault(chance: random.Random, number: int, kind: str, at_s: float) -> Fault:
    target = chance.choice(KINDS[kind])
    lasts_s = chance.uniform(*LONGER_S.get(kind, LASTS_S))
    if kind == "rolling-restart":
        lasts_s = REPLACED_IN_S * len(GROUPS[target])
    elif kind == "upgrade":
        lasts_s = REPLACED_IN_S * (2 * len(GROUPS.get(target, target.split())) + len(UPGRADED))
    return Fault(number, kind, target, round(at_s, 1), round(lasts_s, 1))


def _fits(fault: Fault, others: Sequence[Fault]) -> bool:
    at_once = [one for one in others if one.at_s < fault.ends_s and fault.at_s < one.ends_s]
    if len(at_once) >= MOST_AT_ONCE or any(fault.parts & one.parts for one in at_once):
        return False
    if fault.store is None:
        return True
    of_the_other = [one for one in others if one.store not in (None, fault.store)]
    return all(
        one.ends_s + STORE_PAUSE_S <= fault.at_s or fault.ends_s + STORE_PAUSE_S <= one.at_s for one in of_the_other
    )
