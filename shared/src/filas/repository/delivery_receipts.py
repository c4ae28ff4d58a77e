"""Delivery statuses that are still to be told: what providers say of messages, kept until their job is done.

Ingest writes them with the event's end (`ExecutionRepository.start_many`), the notifier deletes them with the
telling (`NotificationRepository.record_receipts`), a dead letter with its storing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from filas.contract.jobs import DeliveryReceiptJob
from filas.observability.logs import get_logger
from filas.repository.postgres.database import Database

log = get_logger(__name__)

# By the key, not by time: the row where the page before has ended may be gone by now.
SELECT_UNRECORDED: Final = """
select job_id, message from delivery_statuses
where created_at <= now() - make_interval(secs => $1) and ($3::text is null or job_id > $3)
order by job_id limit $2"""


class DeliveryReceiptRepository:
    """The table `delivery_statuses`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unrecorded(self, older_than_s: float, limit: int, after: str | None = None) -> list[DeliveryReceiptJob]:
        """Statuses that are not told though they were written `older_than_s` seconds ago, in the order of their
        jobs' ids: fewer than `limit` only at the end. `after` is the last of those of the call before. A row that
        another version has written, and that can't be read here, holds back no other."""
        statuses: list[DeliveryReceiptJob] = []
        while len(statuses) < limit:
            wanted = limit - len(statuses)
            rows = await self._database.fetch(SELECT_UNRECORDED, older_than_s, wanted, after)
            for row in rows:
                after = row["job_id"]
                try:
                    statuses.append(msgspec.json.decode(row["message"], type=DeliveryReceiptJob))
                except msgspec.MsgspecError as error:
                    log.error("relay.delivery_status_unreadable", job_id=after, error=str(error)[:200])
            if len(rows) < wanted:
                break
        return statuses
