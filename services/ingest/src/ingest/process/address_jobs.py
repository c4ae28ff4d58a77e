"""The job that records the addresses which a provider has stated for the recipient of a message."""

from typing import Any

from filas.contract.jobs import LearnAddressesJob
from filas.models.contacts import ReportedContact
from filas.queue.job_functions import JobContext, JobFunction
from ingest.process.conversations import ContactStore


def learn_addresses(contacts: ContactStore) -> JobFunction:
    """Returns the function that makes the addresses of its job aliases of one contact, if one of them is known."""

    async def handle(_context: JobContext, job: LearnAddressesJob) -> dict[str, Any]:
        report = ReportedContact(
            channel=job.channel_id,
            address=job.address,
            aliases=tuple(job.others),
            medium=job.medium,
            begins=False,
            sends_to=job.sends_to,
        )
        [answer] = await contacts.find_many([report])
        if isinstance(answer, BaseException):
            raise answer
        return {"channelId": job.channel_id}

    return JobFunction(LearnAddressesJob.function, handle, LearnAddressesJob)
