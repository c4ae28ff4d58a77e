"""The addresses that a provider states for a recipient reach ingest once."""

from filas.contract.jobs import LearnAddressesJob
from filas.contract.new_job import NewJob
from filas.contract.policies import WEBHOOKS
from filas.errors import StoreUnavailable
from notifier.channels.channel import Delivered
from notifier.deliver.address_reports import AddressReports

TAKEN = Delivered(addresses=("551187650001", "BR.1"), sends_to="551187650001")


class Queue:
    """Keeps every job."""

    def __init__(self) -> None:
        self.jobs: list[NewJob] = []
        self.problem: Exception | None = None

    async def enqueue(self, job: NewJob) -> object:
        if self.problem is not None:
            raise self.problem
        self.jobs.append(job)
        return None


async def test_a_report_is_a_job_of_ingest_in_the_group_of_the_contact() -> None:
    """Once for the same addresses, and not if the provider states no other one."""
    queue = Queue()
    reports = AddressReports(queue)
    for _ in range(3):
        await reports.report("wa", "whatsapp", "+55 11 98765-0001", TAKEN)
    await reports.report("wa", "whatsapp", "+55 11 98765-0001", Delivered())
    [job] = queue.jobs
    assert (job.policy, job.function, job.group) == (WEBHOOKS, "learn_addresses", "wa:5511987650001")
    assert job.message == LearnAddressesJob(
        channel_id="wa",
        medium="whatsapp",
        address="+55 11 98765-0001",
        others=["551187650001", "BR.1"],
        sends_to="551187650001",
    )


async def test_a_message_is_delivered_while_redis_is_unavailable() -> None:
    """The next message makes the report again."""
    queue = Queue()
    reports = AddressReports(queue)
    queue.problem = StoreUnavailable("redis", "connection refused")
    await reports.report("wa", "whatsapp", "1", TAKEN)
    queue.problem = None
    await reports.report("wa", "whatsapp", "1", TAKEN)
    assert len(queue.jobs) == 1
