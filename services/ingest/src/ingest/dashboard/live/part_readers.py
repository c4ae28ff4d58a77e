"""Reads the parts of a snapshot from the stores, each in its own interval."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.contract.channel_circuits import CircuitStatus
from filas.contract.policies import QUEUES
from filas.errors import StoreUnavailable
from filas.models.analytics import bucket_of
from filas.models.findings import Examination
from filas.observability.logs import get_logger
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.worker_presence import read_load
from filas.repository.analytics.rollup_queries import Span
from ingest.api.operations.doctor_routes import examination
from ingest.api.routing.api_context import ApiContext
from ingest.dashboard.live.snapshot import ChannelSummary, Hour, QueueFigures, Reading

log = get_logger(__name__)

MAX_CHANNELS: Final = 200
MAX_SENDERS: Final = 12
REDIS_S: Final = 1.0
PAUSES_S: Final = 2.0
CHANNELS_S: Final = 5.0
HOUR_S: Final = 10.0
FINDINGS_S: Final = 10.0
CHANNELS_FIRST_S: Final = 1.0
"""How long the first reading of the circuits waits for the names of the channels."""

ANSWER_S: Final = 3.0
"""How long the reading of a part may take. The doctor limits itself to less."""


class PartReader:
    """Reads one part. `reading` is what it read last; a failure keeps the figures and marks them as out of date.

    `store` is named if the part takes longer than ANSWER_S.
    """

    def __init__(
        self, name: str, store: str, every_s: float, read: Callable[[], Awaitable[Any]], clock: Callable[[], float]
    ) -> None:
        self.name = name
        self.reading: Reading[Any] = Reading()
        self._store = store
        self._every_s = every_s
        self._read = read
        self._clock = clock
        self._due_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the figures are older than the interval."""
        return self._clock() >= self._due_at

    def expire(self) -> None:
        """Makes the part due now."""
        self._due_at = float("-inf")

    def start(self) -> asyncio.Task[None] | None:
        """Starts to read if the part is due and not being read. Returns the task that reads, None if none does."""
        if (self._task is None or self._task.done()) and self.is_due:
            self._due_at = self._clock() + self._every_s
            self._task = asyncio.create_task(self._refresh(), name=f"live-{self.name}")
        return None if self._task is None or self._task.done() else self._task

    async def stop(self) -> None:
        """Cancels the task that reads."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                value = await self._read()
        except StoreUnavailable as error:
            self._missed(error.store)
        except TimeoutError:
            self._missed(self._store)
        except Exception as error:
            # A part that cannot be read must not stop the others.
            log.error("live.part_failed", part=self.name, exc_info=error)
            self._missed(self._store)
        else:
            self.reading = Reading(value=value, read_at=datetime.now(UTC))

    def _missed(self, store: str) -> None:
        self.reading = Reading(value=self.reading.value, read_at=self.reading.read_at, missing=store)


def part_readers(context: ApiContext, clock: Callable[[], float] = time.monotonic) -> Sequence[PartReader]:
    """Returns the readers of all parts of a snapshot."""
    circuits = ChannelCircuits(context.redis)

    async def read_queues() -> list[QueueFigures]:
        return list(await asyncio.gather(*(_queue(context, number) for number in range(len(QUEUES)))))

    async def read_channels() -> list[ChannelSummary]:
        page = await context.channels.list(limit=MAX_CHANNELS)
        return [ChannelSummary(id=one.id, type=one.type) for one in page.items]

    channels = PartReader("channels", "postgres", CHANNELS_S, read_channels, clock)

    async def read_circuits() -> dict[str, CircuitStatus]:
        if channels.reading.read_at is None and (first := channels.start()) is not None:
            await asyncio.wait([first], timeout=CHANNELS_FIRST_S)
        names = [one.id for one in channels.reading.value or []]
        found = await circuits.status_many(names)
        return {name: one for name, one in zip(names, found, strict=True) if one.state != "closed" or one.failures}

    async def read_pauses() -> list[str]:
        return sorted(await context.history.pauses.all())

    async def read_hour() -> Hour:
        return await _hour(context, datetime.now(UTC))

    async def read_findings() -> Examination:
        return await examination(context)

    return (
        PartReader("queues", "redis", REDIS_S, read_queues, clock),
        PartReader("circuits", "redis", REDIS_S, read_circuits, clock),
        PartReader("pauses", "postgres", PAUSES_S, read_pauses, clock),
        channels,
        PartReader("hour", "postgres", HOUR_S, read_hour, clock),
        PartReader("findings", "postgres", FINDINGS_S, read_findings, clock),
    )


async def _queue(context: ApiContext, number: int) -> QueueFigures:
    policy = QUEUES[number]
    counts = await context.stats.snapshot(policy)
    return QueueFigures(queue=policy.short, counts=counts, load=await read_load(context.redis, policy))


async def _hour(context: ApiContext, now: datetime) -> Hour:
    last = bucket_of("minute", now) + timedelta(minutes=1)
    span = Span("minute", last - timedelta(hours=1), last)
    analytics = context.history.analytics
    # One after the other: the pool has few connections, and pages need them too.
    return Hour(
        received=await analytics.series("received", span, subject=None, part=None),
        refused=await analytics.series("refusals", span, subject=None, part=None),
        executions=await analytics.series("executions", span, subject=None, part=None),
        deliveries=await analytics.series("deliveries", span, subject=None, part=None),
        answers=await analytics.series("latency", span, subject=None, part=None),
        senders=await analytics.groups("received", span, subject=None, limit=MAX_SENDERS),
    )
