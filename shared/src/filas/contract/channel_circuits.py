"""Channel circuits: the circuit breaker and the rate limits of each channel, shared by all notifiers.

The circuit is closed while messages flow, open while none is sent, and half-open while one probe tests the channel:

| what the channel's provider does              | what follows                                                      |
|-----------------------------------------------|-------------------------------------------------------------------|
| asks for a pause (429, 503, …)                | open until the time that it names, otherwise for 1 s, 2 s, … 60 s |
| fails five times in a row                     | open for 5 s, 10 s, 20 s, 40 s, 60 s, 60 s, …                     |
| the time is over                              | half-open: one message is the probe                               |
| accepts the probe, or rejects it for its text | closed                                                            |
| fails the probe                               | open, for the next longer time                                    |
"""

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from filas.models.record import Record

FAILURES_TO_OPEN = 5
OPEN_S = 5.0
BUSY_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""The first pause after failures, the first pause after a busy response without a time, and the longest pause. Pauses
double until they reach it."""

CircuitState = Literal["closed", "open", "half-open"]


class ChannelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages per second a channel accepts, and how many for one recipient. 0 means no limit."""

    per_second: float = 0.0
    per_recipient: float = 0.0


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is to be sent. `id` is the same for every attempt. `recipient` is any text that identifies the
    recipient."""

    channel_id: str
    id: str
    recipient: str
    limits: ChannelLimits


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The message may be sent, in `delay_s` seconds (less than one).

    `probe`: the message tests a half-open channel, so its outcome must be reported. `reports_success`: a success must
    be reported too, because the channel has failed before.
    """

    delay_s: float = 0.0
    probe: bool = False
    reports_success: bool = False


class Deferred(msgspec.Struct, frozen=True, kw_only=True):
    """The message may not be sent now, and should ask again in `delay_s` seconds.

    For the reasons `rate` and `recipient` the time is this message's own. For the other reasons it is the same for all
    messages of the channel, so the caller should spread them.
    """

    reason: Literal["paused", "half-open", "rate", "recipient"]
    delay_s: float


class ChannelReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an admitted message, as far as it concerns its channel.

    `busy`: the provider asks for a pause, of `pause_s` seconds if it names a time. `unsent`: nothing was sent.
    """

    channel_id: str
    id: str
    outcome: Literal["success", "failure", "busy", "unsent"]
    pause_s: float | None = None


class CircuitChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a report changed, and in how many seconds the channel may be used again (0: now)."""

    change: Literal["none", "opened", "closed"]
    resume_s: float


class CircuitStatus(Record, frozen=True, kw_only=True):
    """A channel's circuit as the API shows it. `until`: when the pause ends or ended. `failures`: the number of
    failures in a row, while the circuit is closed.

    | state       | meaning            | moved to another state by               | removed by                        |
    |-------------|--------------------|-----------------------------------------|-----------------------------------|
    | `closed`    | messages flow      | busy response, five failures in a row:  | Redis, 60 s after the last        |
    |             |                    | `open`                                  | failure                           |
    | `open`      | no message is sent | the time `until`: `half-open`           | Redis, 1 h after `until`          |
    | `half-open` | one probe tests    | success of the probe: `closed`; failure | Redis, 1 h after `until`          |
    |             | the channel        | of the probe, busy response: `open`     |                                   |

    The reports of the notifiers (`report.lua`) move a circuit. A closed circuit without failures is not stored.
    """

    state: CircuitState
    reason: Literal["busy", "failing"] | None = None
    until: datetime | None = None
    failures: int = 0


class ChannelCircuitStore(Protocol):
    """The circuits of all channels, shared by all processes (`filas.queue.channel_circuits.ChannelCircuits`)."""

    async def admit(self, asked: AdmissionRequest) -> Admitted | Deferred:
        """Admit the message, or state when it may ask again. Raises StoreUnavailable."""

    async def report(self, report: ChannelReport) -> CircuitChange:
        """Record the outcome of an admitted message. Raises StoreUnavailable."""
