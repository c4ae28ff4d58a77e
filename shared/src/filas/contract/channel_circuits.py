"""Destinations: where messages go, seen from the outside. A destination is a channel, and its id the channel's.

How patient Filas is with one, in numbers:

| what the destination does              | what follows                                                             |
|----------------------------------------|--------------------------------------------------------------------------|
| says that it is busy (429, 503, …)     | paused until the time that it names, else for 1 s, 2 s, 4 s … 60 s       |
| fails five times in a row              | paused (the circuit opens) for 5 s, 10 s, 20 s … 60 s                    |
| the pause is over (half-open)          | one message finds out: it arrives and all may go, or it is paused again  |
"""

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from filas.models.record import Record

FAILURES_TO_OPEN = 5
BREAK_S = 5.0
PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""The first pauses after failures and after a busy answer that names no time, and the longest to which they double."""

DestinationState = Literal["closed", "open", "half-open"]
"""closed: messages flow. open: none is sent. half-open: the pause is over, one message finds out."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages a second a destination takes, and how many for one receiver; 0: no limit."""

    per_second: float = 0.0
    per_receiver: float = 0.0


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A message that wants to go. `id` is the same at each try; `receiver` may be anything that names who gets it."""

    destination: str
    id: str
    receiver: str
    limits: Limits


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """It may go, in `delay_s` seconds (a small part of one). `probe`: it is the one that finds out whether a paused
    destination is back, and what becomes of it must be told. `troubled`: a success of it is worth telling."""

    delay_s: float = 0.0
    probe: bool = False
    troubled: bool = False


class PutOff(msgspec.Struct, frozen=True, kw_only=True):
    """It may not go, and ought to ask again in `delay_s` seconds. Only for the reasons `rate` and `receiver` is the
    time its own; the others come at one time for every message, and ought to be spread."""

    reason: Literal["paused", "half-open", "rate", "receiver"]
    delay_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an admitted message, as far as it says something of its destination.

    `busy`: it asks for a pause, of `pause_s` where it says how long. `unsent`: nothing was sent after all.
    """

    destination: str
    id: str
    what: Literal["success", "failure", "busy", "unsent"]
    pause_s: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a report changed, and in how many seconds the destination may be tried again (0: now)."""

    change: Literal["none", "opened", "closed"]
    resume_s: float


class DestinationStatus(Record, frozen=True, kw_only=True):
    """A destination as the API shows it. `until`: when the pause ends or has ended. `failures`: in a row, while it
    is closed."""

    state: DestinationState
    reason: Literal["busy", "failing"] | None = None
    until: datetime | None = None
    failures: int = 0


class DestinationStore(Protocol):
    """What all processes know of the destinations together (`filas.queue.destinations.Destinations`)."""

    async def admit(self, asked: Admission) -> Admitted | PutOff:
        """Let the message go, or say when it may ask again. Raises StoreUnavailable."""

    async def report(self, report: Report) -> Verdict:
        """Tell what became of it. Raises StoreUnavailable."""
