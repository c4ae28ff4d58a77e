"""Many deliveries at a time, few statements: what waits while one statement runs goes into the next."""

from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

from filas.batching import MicroBatcher
from filas.models.notifications import BegunNotification, DeliveryReceipt, NotificationOutcome

Told = Literal["recorded", "stale", "unknown"]

MAX_BATCH = 200


class NotificationTable(Protocol):
    """The table of notifications, many at a time (`NotificationRepository`)."""

    async def begin_attempts(self, tries: Sequence[tuple[UUID, bool]]) -> list[BegunNotification | None]:
        """Begin a try of each (id, replay)."""

    async def record_many(self, outcomes: Sequence[NotificationOutcome]) -> list[bool]:
        """Record how tries ended."""

    async def record_receipts(self, updates: Sequence[DeliveryReceipt]) -> list[Told]:
        """Record what providers say of messages that were sent."""


class BatchedStore:
    """A `NotificationStore` whose concurrent calls share statements."""

    def __init__(self, table: NotificationTable) -> None:
        self._begin = MicroBatcher[tuple[UUID, bool], BegunNotification | None](table.begin_attempts, limit=MAX_BATCH)
        self._record = MicroBatcher[NotificationOutcome, bool](table.record_many, limit=MAX_BATCH)
        self._tell = MicroBatcher[DeliveryReceipt, Told](table.record_receipts, limit=MAX_BATCH)

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """See `NotificationStore.begin`."""
        return await self._begin.add((notification_id, replay))

    async def record(self, outcome: NotificationOutcome) -> bool:
        """See `NotificationStore.record`."""
        return await self._record.add(outcome)

    async def tell(self, update: DeliveryReceipt) -> Told:
        """See `StatusStore.tell`."""
        return await self._tell.add(update)
