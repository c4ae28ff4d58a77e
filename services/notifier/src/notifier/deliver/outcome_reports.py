"""Reports the outcomes of messages to the flow-runner, which owns the executions.

The outcome is in its row already (`message_outcomes`), written in the statement that changed the notification. The
report is a job on the flow-runner's queue, so that the execution learns the outcome at once. The flow-runner's relay
finds the row if the job is lost.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from filas.contract.job_factories import learn_outcome_job
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.models.notifications import OutcomeStatus
from filas.observability import logs

log = logs.get_logger(__name__)


class JobStore(Protocol):
    """The queues (`QueueProducer`)."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> object:
        """Enqueues jobs. Raises StoreUnavailable."""


class _Delivery(msgspec.Struct, rename="camel"):
    """The field of a delivery's job that names its notification."""

    notification_id: UUID


class OutcomeReports:
    """Enqueues the reports."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    async def report(self, status: OutcomeStatus, *notification_ids: UUID) -> None:
        """Reports that these notifications have `status`. Never raises."""
        if not notification_ids:
            return
        try:
            await self._jobs.enqueue_many([learn_outcome_job(one, status) for one in notification_ids])
        except StoreUnavailable as error:
            log.info("outcomes.not_reported", store=error.store, reason=error.reason, outcomes=len(notification_ids))

    async def report_failures(self, stored: Sequence[NewDeadLetter]) -> None:
        """Reports the deliveries among the jobs whose dead letters were stored. Never raises."""
        await self.report("failed", *_notifications(stored))


def _notifications(letters: Sequence[NewDeadLetter]) -> list[UUID]:
    """The notifications whose delivery has failed."""
    found = []
    for letter in letters:
        if letter.function != NOTIFICATIONS.function:
            continue
        try:
            found.append(msgspec.json.decode(letter.payload, type=_Delivery).notification_id)
        except msgspec.MsgspecError:
            continue
    return found
