"""Records many deliveries with few statements: the calls that wait while a statement runs share the next one."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from filas.batching import MicroBatcher
from filas.errors import StoreBusy
from filas.models.notifications import BegunNotification, DeliveryReceipt, NotificationOutcome, RecordedReceipt

MAX_BATCH: Final = 200

LOCKED_WAITS_S: Final = (0.1, 0.25, 0.5, *(1.0,) * 30)
"""The waits before the outcome of an attempt is recorded again while another session locks its notification: 31 s in
total. Without the outcome, the message would be sent again."""


class NotificationTable(Protocol):
    """The table of notifications (`NotificationRepository`). Each call handles many notifications."""

    async def begin_attempts(
        self, tries: Sequence[tuple[UUID, bool]]
    ) -> Sequence[BegunNotification | BaseException | None]:
        """Begins an attempt for each (id, replay)."""

    async def load_payload(self, notification: BegunNotification) -> BegunNotification:
        """Reads a large payload."""

    async def record_many(self, outcomes: Sequence[NotificationOutcome]) -> Sequence[bool | BaseException]:
        """Records the outcome of each attempt."""

    async def record_receipts(self, updates: Sequence[DeliveryReceipt]) -> Sequence[RecordedReceipt | BaseException]:
        """Records delivery receipts."""


class BatchedStore:
    """A `NotificationStore` and `ReceiptStore` whose concurrent calls share statements."""

    def __init__(self, table: NotificationTable) -> None:
        self._table = table
        self._begin = MicroBatcher[tuple[UUID, bool], BegunNotification | None](table.begin_attempts, limit=MAX_BATCH)
        self._record = MicroBatcher[NotificationOutcome, bool](table.record_many, limit=MAX_BATCH)
        self._receipts = MicroBatcher[DeliveryReceipt, RecordedReceipt](table.record_receipts, limit=MAX_BATCH)

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """See `NotificationStore.begin`."""
        return await self._begin.add((notification_id, replay))

    async def load_payload(self, notification: BegunNotification) -> BegunNotification:
        """See `NotificationStore.load_payload`. Each large payload is read by itself."""
        return await self._table.load_payload(notification)

    async def record(self, outcome: NotificationOutcome) -> bool:
        """See `NotificationStore.record`."""
        for wait_s in LOCKED_WAITS_S:
            try:
                return await self._record.add(outcome)
            except StoreBusy:
                await asyncio.sleep(wait_s)
        return await self._record.add(outcome)

    async def record_receipt(self, update: DeliveryReceipt) -> RecordedReceipt:
        """See `ReceiptStore.record_receipt`."""
        return await self._receipts.add(update)
