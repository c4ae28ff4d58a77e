"""Delivery receipts change the status of notifications, and cancellation does."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from filas.contract.identity import new_id
from filas.models.notifications import DeliveryReceipt, NotificationOutcome, NotificationWithAttempts, RecordedReceipt
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests.notifier.rows import add_notification
from tests.shared.repository.builders import BROKEN, dead_letter

RANK = {"sent": 1, "delivered": 2, "read": 3}


async def outcomes_of(rows: NotificationRepository, updates: Sequence[DeliveryReceipt]) -> list[str]:
    answers = await rows.record_receipts(updates)
    return [one.outcome if isinstance(one, RecordedReceipt) else str(one) for one in answers]


class World:
    """Notifications that a provider has accepted."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows = NotificationRepository(database)

    async def sent(self, provider_id: str | None = "wamid.1", status: str = "sent") -> Any:
        notification_id = await add_notification(self.database, "wa")
        await self.database.fetch(
            "update notifications set status = $2, provider_id = $3, ended_at = now() where id = $1",
            notification_id,
            status,
            provider_id,
        )
        return notification_id

    async def unanswered(self, status: str, provider_id: str | None = None) -> Any:
        notification_id = await self.sent(provider_id, status)
        await self.database.fetch(
            """update notifications set error = '{"kind":"timeout","message":"no answer"}',
            ended_at = case when status in ('queued', 'sending', 'retrying') then null else now() end where id = $1""",
            notification_id,
        )
        return notification_id

    async def record(
        self, *statuses: str, provider_id: str = "wamid.1", channel_id: str = "wa", notification_id: Any = None
    ) -> list[str]:
        updates = [
            DeliveryReceipt(
                channel_id=channel_id,
                provider_id=provider_id,
                status=status,  # type: ignore[arg-type]
                notification_id=notification_id,
                error=BROKEN if status == "failed" else None,
            )
            for status in statuses
        ]
        return await outcomes_of(self.rows, updates)

    async def row(self, notification_id: Any) -> NotificationWithAttempts:
        found = await self.rows.get(notification_id)
        assert found is not None
        return found


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_a_receipt_moves_the_notification_forwards(world: World) -> None:
    """One receipt after the other, in the order in which they come."""
    notification_id = await world.sent()
    for status, outcome in (("sent", "stale"), ("delivered", "recorded"), ("read", "recorded")):
        assert await world.record(status) == [outcome]
        assert (await world.row(notification_id)).status == status


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read"])))
@pytest.mark.parametrize("at_once", [True, False])
async def test_in_any_order_the_status_never_goes_backwards(
    world: World, order: tuple[str, ...], at_once: bool
) -> None:
    """Providers guarantee no order, and one batch may hold all receipts."""
    notification_id = await world.sent()
    if at_once:
        await world.record(*order)
    else:
        seen = 0
        for status in order:
            await world.record(status)
            now = RANK[(await world.row(notification_id)).status]
            assert now >= seen
            seen = now
    assert (await world.row(notification_id)).status == "read"


async def test_a_message_that_could_not_be_delivered_has_failed_with_the_providers_reason(world: World) -> None:
    """A delivered message does not become failed."""
    notification_id = await world.sent()
    assert await world.record("failed") == ["recorded"]
    row = await world.row(notification_id)
    assert (row.status, row.error) == ("failed", BROKEN)
    arrived = await world.sent("wamid.2", "delivered")
    assert await world.record("failed", provider_id="wamid.2") == ["stale"]
    assert (await world.row(arrived)).status == "delivered"


@pytest.mark.parametrize("status", ["queued", "sending", "retrying", "failed", "cancelled", "read"])
async def test_a_notification_that_is_not_sent_is_not_changed(world: World, status: str) -> None:
    """For example one that is sent again after an operator's retry."""
    notification_id = await world.sent(status=status)
    assert await world.record("delivered") == ["stale"]
    assert (await world.row(notification_id)).status == status


async def test_messages_of_others_are_unknown(world: World) -> None:
    """Of the same number, sent by another system, or of another channel."""
    await world.sent()
    assert await world.record("delivered", provider_id="wamid.other") == ["unknown"]
    assert await world.record("delivered", channel_id="other") == ["unknown"]
    assert await world.record("delivered", provider_id="a\x00\udcff") == ["unknown"]


@pytest.mark.parametrize("status", ["sending", "retrying", "failed"])
@pytest.mark.parametrize("reported", ["sent", "delivered", "read"])
async def test_a_message_whose_answer_was_lost_is_known_by_its_key(world: World, status: str, reported: str) -> None:
    """It gets the provider's id and is not sent again. Later receipts find it by that id."""
    notification_id = await world.unanswered(status)
    assert await world.record(reported, provider_id="wamid.7", notification_id=notification_id) == ["recorded"]
    row = await world.row(notification_id)
    assert (row.status, row.provider_id, row.error) == (reported, "wamid.7", None)
    assert await world.rows.begin_attempt(notification_id) is None
    assert await world.rows.unfinished(0.0, 10) == []
    assert await world.record("read", provider_id="wamid.7") == ["stale" if reported == "read" else "recorded"]


@pytest.mark.parametrize(
    ("status", "provider_id", "reported", "channel_id"),
    [
        ("queued", None, "sent", "wa"),
        ("cancelled", None, "sent", "wa"),
        ("sent", "wamid.2", "delivered", "wa"),  # its second try was answered
        ("retrying", None, "failed", "wa"),  # its second try may fare better
        ("retrying", None, "sent", "other"),
    ],
)
async def test_a_key_moves_nothing_else(
    world: World, status: str, provider_id: str | None, reported: str, channel_id: str
) -> None:
    notification_id = await world.unanswered(status, provider_id)
    assert await world.record(reported, provider_id="w", channel_id=channel_id, notification_id=notification_id) == [
        "unknown"
    ]
    row = await world.row(notification_id)
    assert (row.status, row.provider_id) == (status, provider_id)


async def test_two_provider_ids_of_one_key_are_one_message(world: World) -> None:
    """Both attempts arrived and neither got an answer. The receipt is recorded once."""
    notification_id = await world.unanswered("failed")
    updates = [
        DeliveryReceipt(channel_id="wa", provider_id=f"w{number}", status="delivered", notification_id=notification_id)
        for number in range(2)
    ]
    assert sorted(await outcomes_of(world.rows, updates)) == ["recorded", "unknown"]
    assert (await world.row(notification_id)).status == "delivered"


async def test_an_answer_after_the_receipt_changes_only_its_attempt(world: World) -> None:
    notification_id = await add_notification(world.database, "wa")
    begun = await world.rows.begin_attempt(notification_id)
    assert begun is not None
    assert await world.record("delivered", provider_id="wamid.7", notification_id=notification_id) == ["recorded"]
    outcome = NotificationOutcome(
        id=notification_id, attempt=1, outcome="sent", status="sent", status_code=200, provider_id="wamid.7"
    )
    assert not await world.rows.record(outcome)
    row = await world.row(notification_id)
    assert (row.status, row.provider_id) == ("delivered", "wamid.7")
    assert [attempt.outcome for attempt in row.history] == ["sent"]


async def test_a_batch_records_each_receipt(world: World) -> None:
    """One statement records all of them."""
    ids = [await world.sent(f"wamid.{number}") for number in range(20)]
    updates = [
        DeliveryReceipt(channel_id="wa", provider_id=f"wamid.{number}", status="delivered") for number in range(25)
    ]
    assert await outcomes_of(world.rows, updates) == ["recorded"] * 20 + ["unknown"] * 5
    assert {(await world.row(one)).status for one in ids} == {"delivered"}


async def test_a_waiting_notification_is_cancelled_and_others_are_not(world: World) -> None:
    """The result is the status that the notification has."""
    for status, then in (
        ("queued", "cancelled"),
        ("retrying", "cancelled"),
        ("sending", "sending"),
        ("delivered", "delivered"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
    ):
        notification_id = await world.sent(None, status)
        assert await world.rows.cancel(notification_id) == then
        assert (await world.row(notification_id)).status == then
    assert await world.rows.cancel(new_id()) is None


async def test_a_cancelled_notification_is_sent_only_by_a_replay(world: World) -> None:
    notification_id = await add_notification(world.database, "wa", due_s_ago=60)
    assert await world.rows.cancel(notification_id) == "cancelled"
    assert await world.rows.unfinished(5.0, 10) == []
    assert await world.rows.begin_attempt(notification_id) is None
    assert await world.rows.begin_attempt(notification_id, replay=True) is not None


async def test_a_cancellation_that_becomes_a_dead_letter_fails_no_row(world: World) -> None:
    notification_id = await add_notification(world.database, "wa")
    payload = f'{{"schemaVersion":1,"notificationId":"{notification_id}"}}'.encode()
    letter = dead_letter("notifications", payload, function="cancel_notification")
    await DeadLetterRepository(world.database).insert_many([letter])
    assert (await world.row(notification_id)).status == "queued"
