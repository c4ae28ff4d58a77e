"""One notification's way: what is recorded, what is raised, and what is sent twice at most under one key."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from filas.contract.channel_circuits import AdmissionRequest, Admitted, ChannelReport, CircuitChange, Deferred
from filas.contract.policies import NOTIFICATIONS
from filas.errors import StoreUnavailable
from filas.memory_budget import MemoryBudget
from filas.models.notifications import BegunNotification, NotificationWithAttempts
from filas.observability import metrics
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from notifier.channels.channel import Delivered, OutgoingMessage, PermanentFailure, Result, TemporaryFailure
from notifier.deliver import delivery
from notifier.deliver.attempt_plan import Attempt
from notifier.deliver.batched_store import BatchedStore
from notifier.deliver.bulkhead import Bulkhead
from notifier.deliver.channel_admission import ChannelAdmission, ChannelBusy
from notifier.deliver.channel_cache import ChannelUnusable, KnownChannel
from notifier.deliver.delivery import Delivery, DeliveryFailed, DeliveryPostponed
from tests.notifier.rows import add_notification, opened
from tests.shared.repository.builders import fail_jobs

FIRST = Attempt(number=1, replay=False)
LAST = Attempt(number=2, replay=False)


class Scripted:
    """A channel that returns the next result of its script and keeps the messages."""

    def __init__(self, *script: Result | Exception) -> None:
        self.script = list(script)
        self.sent: list[OutgoingMessage] = []

    async def deliver(self, message: OutgoingMessage) -> Result:
        self.sent.append(message)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class OpenCircuits:
    """A circuit store that admits everything by default and keeps the reports."""

    def __init__(self) -> None:
        self.answer: Admitted | Deferred = Admitted(reports_success=True)
        self.reports: list[ChannelReport] = []
        self.unavailable = False

    async def admit(self, asked: AdmissionRequest) -> Admitted | Deferred:
        return self.answer

    async def report(self, report: ChannelReport) -> CircuitChange:
        if self.unavailable:
            raise StoreUnavailable("redis", "connection refused")
        self.reports.append(report)
        return CircuitChange(change="none", resume_s=report.pause_s or 0.0)


class World:
    """Notifications in Postgres, and channels: `scripted`, and none of the name `absent`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows = NotificationRepository(database)
        self.channel = Scripted()
        self.unavailable = False
        self.store = OpenCircuits()
        self.admission = ChannelAdmission(self.store, Bulkhead(10))
        self.memory = MemoryBudget(64 * 2**20)
        self.delivery = Delivery(BatchedStore(self.rows), self, self.admission, self.memory)

    async def find(self, channel_id: str) -> KnownChannel:
        if self.unavailable:
            raise StoreUnavailable("postgres", "connection refused")
        if channel_id != "scripted":
            raise ChannelUnusable(f"there is no channel {channel_id!r}")
        return KnownChannel("scripted", self.channel)

    async def deliver(self, notification_id: UUID, attempt: Attempt, channel_id: str = "scripted") -> str:
        return await self.delivery.deliver(notification_id, channel_id, attempt)

    async def row(self, notification_id: UUID) -> NotificationWithAttempts:
        found = await self.rows.get(notification_id)
        assert found is not None
        return found

    async def due_at(self, notification_id: UUID) -> datetime:
        due: datetime = await self.database.fetchval("select due_at from notifications where id = $1", notification_id)
        return due


@pytest.fixture
async def world(postgres_dsn: str) -> AsyncIterator[World]:
    async with opened(postgres_dsn) as database:
        yield World(database)


def outcomes(row: NotificationWithAttempts) -> list[str]:
    return [attempt.outcome for attempt in row.history]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Delivered(provider_id="p-1", status_code=200), "delivered"),
        (Delivered(provider_id="p-1", confirmed=False), "sent"),
    ],
)
async def test_a_delivered_message_is_recorded_with_its_try(world: World, result: Result, status: str) -> None:
    world.channel.script = [result]
    notification_id = await add_notification(world.database, "scripted")
    assert await world.deliver(notification_id, FIRST) == "delivered"
    row = await world.row(notification_id)
    assert (row.status, row.attempts, row.provider_id, row.uncertain, row.error) == (status, 1, "p-1", False, None)
    assert outcomes(row) == [status]
    assert row.history[0].ended_at is not None
    (sent,) = world.channel.sent
    assert (sent.id, sent.to, sent.content["text"]) == (notification_id, "5511999990000", "Olá!")
    assert sent.idempotency_key == f"{sent.execution_id}:5"


@pytest.mark.parametrize(("after_s", "delay_s"), [(None, 2.0), (30.0, 30.0)])
async def test_a_temporary_failure_waits_as_the_provider_or_the_policy_states(
    world: World, after_s: float | None, delay_s: float
) -> None:
    world.channel.script = [TemporaryFailure(reason="busy", kind="http-status", after_s=after_s, status_code=429)]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed) as postponed:
        await world.deliver(notification_id, FIRST)
    assert (postponed.value.delay_s, postponed.value.uses_attempt) == (delay_s, True)
    row = await world.row(notification_id)
    assert (row.status, row.uncertain, outcomes(row)) == ("retrying", False, ["retry"])
    assert row.error is not None
    assert (row.error.kind, row.error.message, row.error.detail) == ("http-status", "busy", {"status": 429})
    wait_s = (await world.due_at(notification_id) - datetime.now(UTC)).total_seconds()
    assert delay_s - 30 < wait_s <= delay_s


async def test_after_the_last_try_the_row_waits_for_its_dead_letter(world: World) -> None:
    """`failed` and the dead letter come in one transaction, or a crash in between would lose one of them."""
    world.channel.script = [TemporaryFailure(reason="busy", kind="http-status", status_code=503)]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed) as postponed:
        await world.deliver(notification_id, LAST)
    row = await world.row(notification_id)
    assert (row.status, outcomes(row)) == ("retrying", ["failed"])
    assert postponed.value.detail == row.error


async def test_a_message_that_the_receiver_refuses_is_not_retried(world: World) -> None:
    world.channel.script = [PermanentFailure(reason="the receiver answered 410", kind="http-status", status_code=410)]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryFailed, match="410") as failed:
        await world.deliver(notification_id, FIRST)
    row = await world.row(notification_id)
    assert (row.error, outcomes(row)) == (failed.value.detail, ["failed"])


async def test_a_missing_channel_is_given_up_and_named(world: World) -> None:
    notification_id = await add_notification(world.database, "absent")
    with pytest.raises(DeliveryFailed, match="no channel 'absent'") as failed:
        await world.deliver(notification_id, FIRST, "absent")
    assert failed.value.detail.kind == "channel"
    assert outcomes(await world.row(notification_id)) == ["failed"]


async def test_an_unfinished_attempt_is_counted_marked_and_repeated_under_the_same_key(world: World) -> None:
    world.channel.script = [Delivered()]
    notification_id = await add_notification(world.database, "scripted")
    begun = await world.rows.begin_attempt(notification_id)  # and then its process died
    assert begun is not None
    counted = metrics.NOTIFICATIONS_INTERRUPTED._value.get()
    assert await world.deliver(notification_id, FIRST) == "delivered"
    row = await world.row(notification_id)
    assert (row.status, row.attempts, row.uncertain, outcomes(row)) == (
        "delivered",
        2,
        True,
        ["uncertain", "delivered"],
    )
    assert world.channel.sent[0].idempotency_key == begun.idempotency_key
    assert metrics.NOTIFICATIONS_INTERRUPTED._value.get() == counted + 1


async def test_an_attempt_without_an_answer_is_uncertain(world: World) -> None:
    world.channel.script = [TemporaryFailure(reason="no answer", kind="timeout", uncertain=True), Delivered()]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed):
        await world.deliver(notification_id, FIRST)
    await world.deliver(notification_id, LAST)
    row = await world.row(notification_id)
    assert (row.status, row.uncertain, outcomes(row)) == ("delivered", True, ["uncertain", "delivered"])
    assert len({sent.idempotency_key for sent in world.channel.sent}) == 1


async def test_what_is_settled_is_not_sent_again_unless_replayed(world: World) -> None:
    world.channel.script = [PermanentFailure(reason="no", kind="http-status"), Delivered()]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryFailed):
        await world.deliver(notification_id, FIRST)
    await fail_jobs(world.database, NOTIFICATIONS, {"notificationId": notification_id})
    assert await world.deliver(notification_id, FIRST) == "nothing to do"
    assert await world.deliver(notification_id, Attempt(number=1, replay=True)) == "delivered"
    assert await world.deliver(notification_id, Attempt(number=1, replay=True)) == "nothing to do"
    assert len(world.channel.sent) == 2


async def test_a_bug_in_a_channel_is_a_failed_attempt(world: World) -> None:
    world.channel.script = [KeyError("pa55word")]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed) as postponed:
        await world.deliver(notification_id, FIRST)
    assert "pa55word" not in str(postponed.value)
    assert outcomes(await world.row(notification_id)) == ["uncertain"]


async def test_a_reason_that_is_no_unicode_is_recorded_as_far_as_it_is(world: World) -> None:
    world.channel.script = [PermanentFailure(reason="the receiver said \udcff" + "x" * 5000, kind="http-status")]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryFailed):
        await world.deliver(notification_id, FIRST)
    error = (await world.row(notification_id)).error
    assert error is not None
    assert error.message.startswith("the receiver said \\udcffxxx")
    assert len(error.message) == 500


async def test_while_channels_cannot_be_read_no_attempt_begins(world: World) -> None:
    notification_id = await add_notification(world.database, "scripted")
    world.unavailable = True
    with pytest.raises(StoreUnavailable):
        await world.deliver(notification_id, FIRST)
    row = await world.row(notification_id)
    assert (row.status, row.attempts) == ("queued", 0)


async def test_a_record_that_comes_late_changes_nothing(world: World) -> None:
    """Two workers over one notification, its lease lost in between: the later try is the one that counts."""
    notification_id = await add_notification(world.database, "scripted")

    class Overtaken(Scripted):
        async def deliver(self, message: OutgoingMessage) -> Result:
            assert await world.rows.begin_attempt(notification_id) is not None
            return await super().deliver(message)

    world.channel = Overtaken(Delivered())
    assert await world.deliver(notification_id, FIRST) == "delivered"
    row = await world.row(notification_id)
    assert (row.status, row.attempts) == ("sending", 2)


# ---- patience --------------------------------------------------------------------------------------


async def test_a_busy_channel_pauses_and_uses_no_attempt(world: World) -> None:
    """On the last attempt too: the job comes back when the channel resumes, and no attempt is used."""
    world.channel.script = [
        TemporaryFailure(reason="busy", kind="http-status", after_s=30.0, wait_for="channel", status_code=429)
    ]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed) as postponed:
        await world.deliver(notification_id, LAST)
    assert not postponed.value.uses_attempt
    assert postponed.value.delay_s == pytest.approx(30.0, abs=0.1)
    assert outcomes(await world.row(notification_id)) == ["retry"]
    (report,) = world.store.reports
    assert (report.channel_id, report.outcome, report.pause_s) == ("scripted", "busy", 30.0)


async def test_a_busy_recipient_does_not_pause_the_channel(world: World) -> None:
    world.channel.script = [TemporaryFailure(reason="enough", kind="busy", after_s=6.0, wait_for="recipient")]
    notification_id = await add_notification(world.database, "scripted")
    with pytest.raises(DeliveryPostponed) as postponed:
        await world.deliver(notification_id, LAST)
    assert (postponed.value.uses_attempt, postponed.value.delay_s) == (False, 6.0)
    assert [report.outcome for report in world.store.reports] == ["success"]


async def test_no_attempt_begins_while_the_channel_is_paused(world: World) -> None:
    notification_id = await add_notification(world.database, "scripted")
    world.store.answer = Deferred(reason="paused", delay_s=5.0)
    with pytest.raises(ChannelBusy) as busy:
        await world.deliver(notification_id, LAST)
    assert not busy.value.uses_attempt
    assert busy.value.delay_s == pytest.approx(5.0, abs=0.1)
    assert (await world.row(notification_id)).attempts == 0


async def test_a_notification_fails_after_a_day_of_a_busy_channel(world: World) -> None:
    notification_id = await add_notification(world.database, "scripted")
    world.store.answer = Deferred(reason="paused", delay_s=5.0)
    with pytest.raises(DeliveryFailed) as failed:
        await world.deliver(notification_id, Attempt(number=1, replay=False, age_s=25 * 3600))
    assert failed.value.detail.kind == "expired"


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (Delivered(), "success"),
        (PermanentFailure(reason="no such contact", kind="recipient", status_code=400), "success"),
        (TemporaryFailure(reason="no answer", kind="timeout", uncertain=True), "failure"),
        (TemporaryFailure(reason="broken", kind="http-status", status_code=500), "failure"),
        (KeyError("a fault of our own"), "unsent"),
    ],
)
async def test_each_attempt_reports_the_state_of_its_channel(
    world: World, result: Result | Exception, what: str
) -> None:
    world.channel.script = [result]
    notification_id = await add_notification(world.database, "scripted")
    with contextlib.suppress(DeliveryFailed, DeliveryPostponed):
        await world.deliver(notification_id, FIRST)
    assert [report.outcome for report in world.store.reports] == [what]


async def test_a_success_is_not_reported_while_the_circuit_is_closed(world: World) -> None:
    world.store.answer = Admitted()
    world.channel.script = [Delivered()]
    await world.deliver(await add_notification(world.database, "scripted"), FIRST)
    assert world.store.reports == []


async def test_a_delivered_message_stays_delivered_when_the_report_fails(world: World) -> None:
    world.store.unavailable = True
    world.channel.script = [Delivered()]
    notification_id = await add_notification(world.database, "scripted")
    assert await world.deliver(notification_id, FIRST) == "delivered"
    assert (await world.row(notification_id)).status == "delivered"


async def test_a_probe_that_sends_nothing_makes_room_for_the_next(world: World) -> None:
    """Its notification was settled meanwhile, or the store went away before the try began."""
    world.store.answer = Admitted(probe=True)
    world.channel.script = [Delivered()]
    notification_id = await add_notification(world.database, "scripted")
    await world.deliver(notification_id, FIRST)
    assert await world.deliver(notification_id, FIRST) == "nothing to do"
    assert [report.outcome for report in world.store.reports] == ["success", "unsent"]


async def test_a_large_message_is_loaded_when_there_is_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun attempts leave a large payload out. Without memory, the message waits without using an attempt."""
    monkeypatch.setattr(delivery, "MEMORY_WAIT_S", 0.01)
    world.channel.script = [Delivered(provider_id="p-1"), Delivered(provider_id="p-2")]
    large = await add_notification(world.database, "scripted", text="x" * 2**20)
    small = await add_notification(world.database, "scripted")
    [begun] = await world.rows.begin_attempts([(small, False)])
    assert isinstance(begun, BegunNotification)
    assert not begun.is_large
    async with world.memory.hold(world.memory.max_bytes):
        with pytest.raises(DeliveryPostponed) as postponed:
            await world.deliver(large, FIRST)
        assert not postponed.value.uses_attempt
        assert await world.deliver(small, FIRST) == "delivered"
    assert outcomes(await world.row(large)) == ["retry"]
    assert await world.deliver(large, FIRST) == "delivered"
    assert len(world.channel.sent[-1].content["text"]) == 2**20
    assert world.memory.held == 0
