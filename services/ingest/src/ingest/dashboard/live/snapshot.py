"""What the live pages show: the figures of the queues, workers, channels, senders and findings at one moment.

A snapshot is complete in itself, so that a moment can be stored and shown again later (`moments`).
"""

from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec

from filas.contract.channel_circuits import CircuitStatus
from filas.models.analytics import Groups, Series
from filas.models.findings import Examination
from filas.models.record import Record
from filas.queue.operations.queue_stats import QueueCounts
from filas.queue.worker_presence import QueueLoad

T = TypeVar("T")


class Reading(Record, Generic[T], frozen=True, kw_only=True):
    """The last figures of one part.

    `value` was read at `read_at`; both are None if it was never read. `missing` names the store that does not answer
    (`redis`, `postgres`): then `value` is out of date since `read_at`.
    """

    value: T | None = None
    read_at: datetime | None = None
    missing: str | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the figures are out of date."""
        return self.missing is not None


class QueueFigures(Record, frozen=True, kw_only=True):
    """A queue and its workers. `queue` is its short name."""

    queue: str
    counts: QueueCounts
    load: QueueLoad


class ChannelSummary(Record, frozen=True, kw_only=True):
    """A channel without its configuration."""

    id: str
    type: str


class Hour(Record, frozen=True, kw_only=True):
    """The last hour, minute by minute, from the rollups.

    | field | counts |
    |---|---|
    | `received` | events |
    | `refused` | recorded refusals |
    | `executions` | ended executions, by status |
    | `deliveries` | messages that had their outcome, by status |
    | `answers` | first answers to events, with the time since the event was received |
    | `senders` | events by webhook, the largest first |
    """

    received: Series
    refused: Series
    executions: Series
    deliveries: Series
    answers: Series
    senders: Groups


class Snapshot(Record, frozen=True, kw_only=True):
    """All parts at one moment. `at` is in Unix ms and increases from one snapshot to the next.

    | part | store | read every |
    |---|---|---|
    | `queues` | Redis | second |
    | `circuits`: of the channels that are not closed, by id | Redis | second |
    | `pauses`: names of paused queues | Postgres | 2 s |
    | `channels`: at most 200 | Postgres | 5 s |
    | `hour` | Postgres | 10 s |
    | `findings` | both | 10 s |
    """

    at: int
    queues: Reading[list[QueueFigures]] = Reading()
    circuits: Reading[dict[str, CircuitStatus]] = Reading()
    pauses: Reading[list[str]] = Reading()
    channels: Reading[list[ChannelSummary]] = Reading()
    hour: Reading[Hour] = Reading()
    findings: Reading[Examination] = Reading()


PARTS: Final = ("queues", "circuits", "pauses", "channels", "hour", "findings")

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Snapshot).decode
