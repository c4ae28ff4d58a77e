"""Reports the addresses that providers state for recipients to ingest, which owns the contacts.

The report is a job on ingest's queue. A job that is lost with Redis is no harm: the next message to the recipient makes
it again.
"""

from typing import Final, Protocol

from filas.contract.job_factories import learn_addresses_job
from filas.contract.jobs import LearnAddressesJob
from filas.contract.new_job import NewJob
from filas.contract.storable_text import is_storable
from filas.errors import StoreUnavailable
from filas.observability import logs
from notifier.channels.channel import Delivered

MAX_KNOWN: Final = 10_000

log = logs.get_logger(__name__)


class JobStore(Protocol):
    """The queues (`QueueProducer`)."""

    async def enqueue(self, job: NewJob) -> object:
        """Enqueues a job. Raises StoreUnavailable."""


class AddressReports:
    """Enqueues one report for each recipient whose addresses differ from the one that was sent to."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._known: set[str] = set()

    async def report(self, channel_id: str, channel_type: str, recipient: str, delivered: Delivered) -> None:
        """Reports what `delivered` states about `recipient`, unless this process has reported the same before."""
        if not delivered.addresses or not is_storable(recipient):
            return
        message = LearnAddressesJob(
            channel_id=channel_id,
            medium=channel_type,
            address=recipient,
            others=list(delivered.addresses),
            sends_to=delivered.sends_to,
        )
        if message.key in self._known:
            return
        try:
            await self._jobs.enqueue(learn_addresses_job(message))
        except StoreUnavailable as error:
            log.info("addresses.not_reported", channel_id=channel_id, store=error.store, reason=error.reason)
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known.add(message.key)
