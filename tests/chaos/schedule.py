"""The seeded schedule of faults: which one, on what, from when, and for how long."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.process_table import PROCESSES, WORKERS

STORES: Final = ("redis", "postgres")
RECEIVERS: Final = ("messages", "crm")
PROCESS_NAMES: Final = (*PROCESSES, *(f"{name}-2" for name in WORKERS))

LINKS: Final = (
    *(f"{process}/{store}" for process in PROCESS_NAMES for store in STORES),
    *(f"outside/{receiver}" for receiver in RECEIVERS),
)
"""Each process has a link of its own to each store. All processes share the link to a receiver."""

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "kill": PROCESS_NAMES,
    "stop": PROCESS_NAMES,
    "restart": PROCESS_NAMES,
    "store-kill": STORES,
    "store-stall": STORES,
    "store-full": STORES,
    "redis-flush": ("redis",),
    "postgres-lock": ("postgres",),
    "link-slow": LINKS,
    "link-cut": LINKS,
    "link-one-way": LINKS,
    "receiver-down": RECEIVERS,
    "receiver-slow": RECEIVERS,
    "receiver-garbage": RECEIVERS,
    "receiver-busy": RECEIVERS,
    "hostile-senders": ("ingest",),
}
"""Each kind of fault, and what it can hit. `store-full`: Redis at its memory limit, Postgres without a free connection.
`postgres-lock`: a session holds a lock on a busy table. `receiver-busy`: answers 429."""

STORE_KINDS: Final = frozenset({"store-kill", "store-stall", "store-full", "redis-flush", "postgres-lock"})

LOSES_REDIS: Final = frozenset({"redis-flush"})

MOST_AT_ONCE: Final = 3
SHORTEST_S, LONGEST_S = 1.0, 8.0
PAUSE_S: Final = (2.0, 5.0)
"""How long nothing is wrong after the faults of a window, at least and at most."""

STORE_PAUSE_S: Final = 15.0
"""How long a store works before the other one fails. A webhook that was accepted without one store is only in the other
one until it has been written to both: the promise is about the loss of one store."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `number` counts from 1, so that a run can leave it out; the times are in seconds, `at_s` from the
    beginning of the run."""

    number: int
    kind: str
    target: str
    at_s: float
    lasts_s: float

    @property
    def ends_s(self) -> float:
        """When it ends."""
        return self.at_s + self.lasts_s

    @property
    def store(self) -> str | None:
        """The store that it makes unavailable, or None."""
        return self.target if self.kind in STORE_KINDS else None

    @property
    def loses_redis(self) -> bool:
        """Whether Redis loses data, so that its counters begin again."""
        return self.kind in LOSES_REDIS

    def __str__(self) -> str:
        return f"#{self.number} {self.kind} {self.target} from {self.at_s:.1f} s for {self.lasts_s:.1f} s"


def schedule(seed: int, seconds: float, *, without: Iterable[int] = ()) -> list[Fault]:
    """The faults of a run of `seconds`, in the order of their beginnings: one to three in each window, then a pause.

    The same seed gives the same faults. `without` are the numbers of faults to leave out; the others stay as they are.
    Two faults that overlap have different targets and at most one store between them.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    kinds: list[str] = []
    at = chance.uniform(*PAUSE_S)
    while at < seconds:
        window: list[Fault] = []
        for _ in range(chance.randint(1, MOST_AT_ONCE)):
            if not kinds:  # each kind once, in a random order, before one comes again
                kinds = chance.sample(list(KINDS), len(KINDS))
            kind = kinds.pop()
            begins = at + chance.uniform(0.0, 2.0)
            fault = Fault(
                len(faults) + len(window) + 1,
                kind,
                chance.choice(KINDS[kind]),
                round(begins, 1),
                round(chance.uniform(SHORTEST_S, LONGEST_S), 1),
            )
            if fault.ends_s <= seconds and _fits(fault, faults, window):
                window.append(fault)
        faults += window
        at = max((one.ends_s for one in window), default=at) + chance.uniform(*PAUSE_S)
    left_out = frozenset(without)
    return sorted((one for one in faults if one.number not in left_out), key=lambda one: (one.at_s, one.number))


def _fits(fault: Fault, before: Sequence[Fault], window: Sequence[Fault]) -> bool:
    if any(_same_target(fault, one) for one in window):
        return False
    if fault.store is None:
        return True
    others = [one for one in (*before, *window) if one.store not in (None, fault.store)]
    return all(one.ends_s + STORE_PAUSE_S <= fault.at_s or fault.ends_s + STORE_PAUSE_S <= one.at_s for one in others)


def _same_target(one: Fault, other: Fault) -> bool:
    """Whether both hit the same process, store or receiver, or a link of it."""
    return bool(set(one.target.split("/")) & set(other.target.split("/")))
