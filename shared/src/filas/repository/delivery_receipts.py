"""Delivery receipts that are not recorded yet (table `delivery_statuses`).

`ExecutionRepository.start_many` writes them when their event ends. `NotificationRepository.record_receipts` deletes
them when they are recorded, and `DeadLetterRepository.insert_many` when their job becomes a dead letter.
"""

from __future__ import annotations

from typing import Final

import msgspec

from filas.contract.jobs import DeliveryReceiptJob
from filas.observability.logs import get_logger
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database

log = get_logger(__name__)

# Ordered by the key and not by time, because the last row of the page before may be deleted by now.
SELECT_UNRECORDED: Final = paging.within_bytes(
    """
select job_id, message from delivery_statuses
where created_at <= now() - make_interval(secs => $1) and ($3::text is null or job_id > $3)
order by job_id limit $2""",
    "octet_length(message::text)",
    "job_id",
)


class DeliveryReceiptRepository:
    """The table `delivery_statuses`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unrecorded(self, older_than_s: float, limit: int, after: str | None = None) -> list[DeliveryReceiptJob]:
        """Receipts that were written at least `older_than_s` seconds ago and are not recorded, in the order of their
        jobs' ids. Without any, no more follow. `after` is the last job id of the page before. A row
        that another version wrote and that this version cannot read is logged and skipped."""
        receipts: list[DeliveryReceiptJob] = []
        while not receipts:
            rows = await self._database.fetch(SELECT_UNRECORDED, older_than_s, limit, after)
            if not rows:
                break
            for row in rows:
                after = row["job_id"]
                try:
                    receipts.append(msgspec.json.decode(row["message"], type=DeliveryReceiptJob))
                except msgspec.MsgspecError as error:
                    log.error("relay.delivery_receipt_unreadable", job_id=after, error=str(error)[:200])
        return receipts
