"""Records many deliveries with few statements: the calls that wait while a statement runs share the next one."""

from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from filas.batching import MicroBatcher
from filas.models.notifications import BegunNotification, DeliveryReceipt, NotificationOutcome, ReceiptOutcome

MAX_BATCH: Final = 200


class NotificationTable(Protocol):
    """The table of notifications (`NotificationRepository`). Each call handles many notifications."""

    async def begin_attempts(self, tries: Sequence[tuple[UUID, bool]]) -> list[BegunNotification | None]:
        """Begins an attempt for each (id, replay)."""

    async def record_many(self, outcomes: Sequence[NotificationOutcome]) -> list[bool]:
        """Records the outcome of each attempt."""

    async def record_receipts(self, updates: Sequence[DeliveryReceipt]) -> list[ReceiptOutcome]:
        """Records delivery receipts."""


class BatchedStore:
    """A `NotificationStore` and `ReceiptStore` whose concurrent calls share statements."""

    def __init__(self, table: NotificationTable) -> None:
        self._begin = MicroBatcher[tuple[UUID, bool], BegunNotification | None](table.begin_attempts, limit=MAX_BATCH)
        self._record = MicroBatcher[NotificationOutcome, bool](table.record_many, limit=MAX_BATCH)
        self._receipts = MicroBatcher[DeliveryReceipt, ReceiptOutcome](table.record_receipts, limit=MAX_BATCH)

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """See `NotificationStore.begin`."""
        return await self._begin.add((notification_id, replay))

    async def record(self, outcome: NotificationOutcome) -> bool:
        """See `NotificationStore.record`."""
        return await self._record.add(outcome)

    async def record_receipt(self, update: DeliveryReceipt) -> ReceiptOutcome:
        """See `ReceiptStore.record_receipt`."""
        return await self._receipts.add(update)
