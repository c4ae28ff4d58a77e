"""The jobs besides delivery: delivery receipts, and the cancel command."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import pytest

from filas.contract import jobs
from filas.contract.identity import new_id
from filas.contract.job_factories import cancel_notification_job
from filas.contract.jobs import CancelNotificationJob, DeliveryReceiptJob
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.errors import JobDecodeError, RetryLater, StoreBusy, StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.models.notifications import DeliveryReceipt, NotificationStatus, RecordedReceipt
from filas.queue.job_functions import JobContext, JobFunction
from notifier.deliver.outcome_reports import OutcomeReports
from notifier.jobs import NotificationCancelRelay, cancel_notification, reported_dead_letters, update_delivery_status
from tests.shared.repository.builders import dead_letter


class Table:
    """Returns the same answer for every notification."""

    def __init__(self, outcome: Literal["recorded", "stale", "unknown"] = "recorded", status: Any = None) -> None:
        self._outcome = outcome
        self._status: NotificationStatus | None = status
        self.updates: list[DeliveryReceipt] = []
        self.reported: UUID | None = None

    async def record_receipt(self, update: DeliveryReceipt) -> RecordedReceipt:
        self.updates.append(update)
        return RecordedReceipt(outcome=self._outcome, reported=self.reported)

    async def cancel(self, notification_id: object) -> NotificationStatus | None:
        return self._status


class Jobs:
    """Collects the keys of the enqueued jobs."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.problem: Exception | None = None

    async def enqueue_many(self, new: Sequence[NewJob]) -> None:
        if self.problem is not None:
            raise self.problem
        self.keys += [each.key for each in new]


def job(**fields: Any) -> DeliveryReceiptJob:
    return DeliveryReceiptJob(
        **{"channel_id": "wa", "provider_id": "wamid.1", "status": "delivered", "timestamp": 1, **fields}
    )


async def run(function: JobFunction, message: object, attempt: int = 1) -> Any:
    handler: Any = function.handler
    return await handler(
        JobContext("id", function.name, attempt=attempt, max_attempts=function.max_attempts or 1), message
    )


async def test_a_receipt_for_an_unknown_message_is_tried_again_and_then_dropped() -> None:
    """The answer may not be recorded yet, or another system sent the message. It does not become a dead letter."""
    function = update_delivery_status(Table("unknown"), OutcomeReports(Jobs()))
    waits = []
    for attempt in range(1, function.max_attempts or 0):
        with pytest.raises(RetryLater) as later:
            await run(function, job(), attempt)
        waits.append(later.value.delay_s)
    assert waits == [1.0, 2.0, 4.0]
    assert await run(function, job(), function.max_attempts or 0) == "unknown"


async def test_a_failed_status_carries_the_providers_reason() -> None:
    table = Table()
    function = update_delivery_status(table, OutcomeReports(Jobs()))
    await run(function, job(status="failed", error_kind="delivery", error_message="x" * 5000))
    await run(function, job(status="failed"))
    await run(function, job(status="read", error_message="ignored"))
    first, second, third = (update.error for update in table.updates)
    assert first is not None
    assert second is not None
    assert (first.kind, len(first.message)) == ("delivery", 500)
    assert second.message
    assert third is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("131047 Re-engagement message", "window-closed"),
        ("131026 Message undeliverable not on WhatsApp", "recipient"),
        ("132001 Template name does not exist", "template"),
        ("131049 This message was not delivered", "policy"),
        ("63016", "window-closed"),
        ("30003", "recipient"),
        ("21610", "recipient"),
        ("30007 filtered", "policy"),
        ("999999 something else", "delivery"),
        ("the phone 131047 is off", "delivery"),
        ("1310470 is no code", "delivery"),
        ("", "delivery"),
    ],
)
async def test_a_receipt_has_the_kind_of_the_same_code_in_a_response(text: str, kind: str) -> None:
    """So a flow sees one kind, whether the provider refuses a message at once or later."""
    table = Table()
    function = update_delivery_status(table, OutcomeReports(Jobs()))
    await run(function, job(status="failed", error_kind="delivery", error_message=text))
    [update] = table.updates
    assert update.error is not None
    assert update.error.kind == kind


async def test_the_cancel_command_waits_for_a_message_that_is_being_sent() -> None:
    function = cancel_notification(Table(status="sending"), OutcomeReports(Jobs()))
    message = CancelNotificationJob(notification_id=new_id())
    with pytest.raises(RetryLater):
        await run(function, message)
    assert await run(function, message, function.max_attempts or 0) == "sending"
    assert await run(cancel_notification(Table(status=None), OutcomeReports(Jobs())), message) == "unknown"


async def test_a_cancelled_message_is_reported_to_its_execution() -> None:
    jobs, message = Jobs(), CancelNotificationJob(notification_id=new_id())
    cancel = cancel_notification(Table(status="cancelled"), OutcomeReports(jobs))
    assert await run(cancel, message) == "cancelled"
    assert jobs.keys == [f"outcome:{message.notification_id}:cancelled"]


async def test_a_receipt_is_reported_if_the_execution_must_learn_it() -> None:
    jobs, table = Jobs(), Table()
    function = update_delivery_status(table, OutcomeReports(jobs))
    await run(function, job(status="failed"))
    assert jobs.keys == []
    table.reported = new_id()
    await run(function, job(status="failed"))
    assert jobs.keys == [f"outcome:{table.reported}:failed"]


async def test_the_dead_letter_of_a_delivery_is_reported_after_it_is_stored() -> None:
    """Only that of a delivery, and only if it was stored."""
    jobs, ids = Jobs(), [new_id(), new_id()]
    payloads = [b'{"notificationId":"%s"}' % str(one).encode() for one in ids]
    letters = [dead_letter(NOTIFICATIONS.name, payload, function=NOTIFICATIONS.function) for payload in payloads]
    letters += [dead_letter(NOTIFICATIONS.name, payloads[0], function="cancel_notification")]
    letters += [dead_letter(NOTIFICATIONS.name, b"broken", function=NOTIFICATIONS.function)]

    async def store(given: list[NewDeadLetter], /) -> list[Exception | None]:
        assert jobs.keys == []
        return [None, StoreBusy("locked", "row"), *([None] * (len(given) - 2))]

    await reported_dead_letters(store, OutcomeReports(jobs))(letters)
    assert jobs.keys == [f"outcome:{ids[0]}:failed"]


async def test_a_report_that_cannot_be_enqueued_is_left_to_the_relay() -> None:
    jobs = Jobs()
    jobs.problem = StoreUnavailable("redis", "down")
    await OutcomeReports(jobs).report("failed", new_id())


def test_the_same_receipt_is_one_job_and_keys_stay_short() -> None:
    """For any id that a provider uses."""
    assert job().key == job(timestamp=2).key
    different = {job(**change).key for change in ({}, {"status": "read"}, {"provider_id": "2"}, {"channel_id": "b"})}
    assert len(different) == 4
    assert len(job(channel_id="c" * 128, provider_id="p\udcff" * 5000).key.encode()) < 300


def test_a_dead_letter_decodes_as_what_its_function_takes() -> None:
    payload = {"schemaVersion": 1, "channelId": "wa", "providerId": "1", "status": "read", "timestamp": 1}
    message_type = jobs.message_type(NOTIFICATIONS, jobs.UPDATE_DELIVERY_STATUS)
    assert isinstance(jobs.decode(NOTIFICATIONS, payload, message_type), DeliveryReceiptJob)
    with pytest.raises(JobDecodeError):
        jobs.decode(NOTIFICATIONS, payload, jobs.message_type(NOTIFICATIONS, NOTIFICATIONS.function))


async def test_the_relay_repeats_the_commands_of_stored_cancels() -> None:
    """Page by page."""
    stored = [UUID(int=number) for number in range(3)]

    class Stored:
        async def unapplied_notifications(self, older_than_s: float, limit: int, after: UUID | None) -> list[UUID]:
            return [one for one in stored if after is None or one > after][:limit]

    relay = NotificationCancelRelay(Stored())
    first = await relay.due(2)
    rest = await relay.due(2, first[-1])
    assert [job.job_id for job in (*first, *rest)] == [cancel_notification_job(one).job_id for one in stored]
