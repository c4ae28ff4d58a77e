"""The outcome of a message reaches its execution: it resumes a wait, or it starts the flow for undelivered messages."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import effect_key, notification_id, undelivered_execution_id
from filas.contract.jobs import LEARN_OUTCOME
from filas.contract.policies import FLOWS, NOTIFICATIONS
from filas.errors import RetryLater
from filas.models.executions import ClaimedExecution, DueExecution, FollowingExecution, NewNotification
from filas.models.message_outcomes import LateFailure
from filas.models.notifications import DeliveryReceipt, NotificationOutcome
from filas.repository.cancels import CancelRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.message_outcomes import MessageOutcomeRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import BROKEN, checkpoint, claimed, dead_letter, fail_jobs, notification, step

LATER = datetime.now(UTC) + timedelta(hours=1)


class World:
    """One execution, and the message that it has sent in its last checkpoint."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.executions = ExecutionRepository(database)
        self.notifications = NotificationRepository(database)
        self.outcomes = MessageOutcomeRepository(database)
        self.held: ClaimedExecution
        self.id: UUID

    async def send(self, status: str = "waiting-callback", awaits: str | None = "sent", **more: Any) -> None:
        """The execution has `status` after the checkpoint that records its message."""
        self.held = await claimed(self.database)
        message = notification(self.held.id, 2, awaits=awaits)
        self.id = message.id
        waits = {"awaits_message": message.id, "wake_at": LATER} if status.startswith("waiting") else {}
        written = checkpoint(self.held, status, steps=[step(2)], notifications=[message], **{**waits, **more})
        assert await self.executions.checkpoint_many([written]) == [status]

    async def deliver(self, status: Any = "sent", provider_id: str | None = "wamid.1") -> None:
        begun = await self.notifications.begin_attempt(self.id)
        assert begun is not None
        outcome: Any = {"id": self.id, "attempt": begun.attempts, "provider_id": provider_id}
        if status == "failed":
            await self.notifications.record(NotificationOutcome(outcome="failed", status="retrying", **outcome))
            await fail_jobs(self.database, NOTIFICATIONS, {"notificationId": str(self.id)})
        else:
            await self.notifications.record(NotificationOutcome(outcome=status, status=status, **outcome))

    async def receive(self, status: Any) -> UUID | None:
        receipt = DeliveryReceipt(
            channel_id="whatsapp", provider_id="wamid.1", status=status, error=BROKEN if status == "failed" else None
        )
        [answer] = await self.notifications.record_receipts([receipt])
        assert not isinstance(answer, Exception)
        return answer.reported

    async def learn(self) -> Any:
        [answer] = await self.outcomes.learn_many([self.id])
        return answer

    async def unlearned(self) -> list[tuple[UUID, str]]:
        return [(one.notification_id, one.status) for one in await self.outcomes.unlearned(0, 100)]

    async def claim_again(self) -> ClaimedExecution | None:
        row = await self.database.fetchrow("select turn from executions where id = $1", self.held.id)
        assert row is not None
        return await self.executions.claim(self.held.id, row["turn"], "other", 30)

    async def status(self) -> str:
        found = await self.executions.get(self.held.id)
        assert found is not None
        return found.status


@pytest.fixture
def world(database: Database, published: str) -> World:
    del published
    return World(database)


def outcome_of(execution: ClaimedExecution | None) -> Any:
    assert execution is not None
    return execution.message_outcome and msgspec.json.decode(execution.message_outcome)


@pytest.mark.parametrize(
    ("awaits", "status", "is_reported"),
    [
        ("sent", "sent", True),
        ("sent", "delivered", True),
        ("sent", "failed", True),
        ("delivered", "sent", False),
        ("delivered", "delivered", True),
        ("delivered", "failed", True),
        (None, "sent", False),
        (None, "delivered", False),
        (None, "failed", True),
    ],
)
async def test_what_the_execution_must_learn_is_stored_with_the_status(
    world: World, awaits: str | None, status: str, is_reported: bool
) -> None:
    """The status for which it waits or a later one, and every failure."""
    await world.send(awaits=awaits)
    await world.deliver(status)
    assert await world.unlearned() == ([(world.id, status)] if is_reported else [])


@pytest.mark.parametrize(
    ("awaits", "status", "is_reported"),
    [
        ("sent", "delivered", True),
        ("delivered", "delivered", True),
        ("delivered", "read", True),
        ("delivered", "failed", True),
        (None, "delivered", False),
        (None, "failed", True),
    ],
)
async def test_a_receipt_is_stored_too(world: World, awaits: str | None, status: str, is_reported: bool) -> None:
    await world.send(awaits=awaits)
    await world.deliver("sent")
    await world.learn()
    assert await world.receive(status) == (world.id if is_reported else None)
    assert await world.unlearned() == ([(world.id, status)] if is_reported else [])
    assert await world.receive(status) is None, "a repeated receipt reports nothing"


async def test_an_outcome_resumes_the_execution_that_waits_for_it(world: World) -> None:
    """Once. The outcome stays with the execution until its next checkpoint."""
    await world.send()
    await world.deliver("sent")
    due = await world.learn()
    assert isinstance(due, DueExecution)
    assert (due.id, due.status) == (world.held.id, "queued")
    assert await world.unlearned() == []
    assert await world.learn() == "over"
    again = await world.claim_again()
    assert outcome_of(again) == {"status": "sent", "error": None, "providerId": "wamid.1"}
    assert again is not None
    await world.executions.renew([(again.id, again.fence)], 0.0)
    after_crash = await world.claim_again()
    assert outcome_of(after_crash) == {"status": "sent", "error": None, "providerId": "wamid.1"}
    assert after_crash is not None
    await world.executions.checkpoint_many([checkpoint(after_crash, "queued")])
    assert outcome_of(await world.claim_again()) is None


async def test_a_failed_delivery_resumes_it_with_the_error(world: World) -> None:
    await world.send()
    await world.deliver("failed")
    assert isinstance(await world.learn(), DueExecution)
    found = outcome_of(await world.claim_again())
    assert (found["status"], found["error"]["kind"]) == ("failed", BROKEN.kind)


async def test_a_wait_that_keeps_its_turn_is_asked_again_by_its_job(world: World) -> None:
    """So that the job holds the conversation. After the outcome, the job continues the execution."""
    await world.send(keeps_turn=True, wake_at=datetime.now(UTC) + timedelta(seconds=50))
    with pytest.raises(RetryLater) as later:
        await world.claim_again()
    assert (later.value.delay_s, later.value.uses_attempt) == (5.0, False)
    await world.deliver("sent")
    due = await world.learn()
    assert isinstance(due, DueExecution)
    assert due.turn == world.held.turn
    assert outcome_of(await world.claim_again()) == {"status": "sent", "error": None, "providerId": "wamid.1"}


class Parts:
    """The parts of one long text, of which the execution waits for the last."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids: list[UUID] = []

    async def send(self, status: str = "waiting-callback", number: int = 1) -> "Parts":
        """Two parts of question `number`. The numbers in their keys are as the flow-runner writes them."""
        world = self.world
        world.held = await claimed(world.database)
        messages = [self._part(100 + number), self._part(number)]
        self.ids = [one.id for one in messages]
        waits: Any = {"awaits_message": self.ids[-1], "wake_at": LATER, "awaits_reply": status == "waiting-input"}
        earlier = [notification(world.held.id, 1)]
        written = checkpoint(world.held, status, steps=[step(2)], notifications=[*earlier, *messages], **waits)
        await world.executions.checkpoint_many([written])
        return self

    async def ends(self, part: int, status: str) -> Any:
        self.world.id = self.ids[part]
        await self.world.deliver(status, provider_id=f"wamid.{part}")
        return await self.world.learn()

    def _part(self, number: int) -> NewNotification:
        execution = self.world.held.id
        key = effect_key(execution, 2) if number == 1 else f"{effect_key(execution, 2)}:{number}"
        return notification(
            execution,
            2,
            id=notification_id(execution, 2, number),
            idempotency_key=key,
            awaits="sent" if number < 100 else None,
        )


@pytest.mark.parametrize(("status", "number"), [("waiting-callback", 1), ("waiting-input", 1), ("waiting-input", 2)])
async def test_any_part_that_fails_fails_the_step(world: World, status: str, number: int) -> None:
    parts = await Parts(world).send(status, number)
    assert isinstance(await parts.ends(0, "failed"), DueExecution)
    assert outcome_of(await world.claim_again())["status"] == "failed"
    late = await parts.ends(1, "failed")
    assert late == "running"


async def test_the_last_part_waits_for_the_others(world: World) -> None:
    """The dead letter of the first part may be stored after the second part was sent."""
    parts = await Parts(world).send()
    assert await parts.ends(1, "sent") == "running"
    assert isinstance(await parts.ends(0, "failed"), DueExecution)
    assert outcome_of(await world.claim_again())["status"] == "failed"


async def test_of_two_outcomes_in_one_call_the_failure_counts(world: World) -> None:
    parts = await Parts(world).send()
    for part, status in ((0, "failed"), (1, "sent")):
        world.id = parts.ids[part]
        await world.deliver(status, provider_id=f"wamid.{part}")
    answers = await world.outcomes.learn_many(parts.ids)
    assert [isinstance(answer, DueExecution) for answer in answers] == [True, False]
    assert outcome_of(await world.claim_again())["status"] == "failed"


async def test_a_part_of_an_earlier_question_does_not_fail_the_input(world: World) -> None:
    """The question was answered, so it was received."""
    parts = await Parts(world).send("waiting-input", 2)
    await world.database.fetch(
        """insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, due_at,
            created_at, updated_at) values ($1, $2, 2, 'c', 'r', '{}', $3, now(), now(), now())""",
        notification_id(world.held.id, 2),
        world.held.id,
        effect_key(world.held.id, 2),
    )
    parts.ids.append(notification_id(world.held.id, 2))
    assert isinstance(await parts.ends(2, "failed"), LateFailure)


async def test_of_two_outcomes_the_last_one_counts(world: World) -> None:
    """The failure arrives before the execution has learned that the message was accepted."""
    await world.send()
    await world.deliver("sent")
    assert await world.receive("failed") == world.id
    assert await world.unlearned() == [(world.id, "failed")]
    await world.learn()
    assert outcome_of(await world.claim_again())["status"] == "failed"


async def test_an_input_that_waits_for_a_reply_is_resumed_by_a_failure(world: World) -> None:
    """After that, a message does not count as its reply."""
    await world.send("waiting-input", awaits=None, awaits_reply=True)
    await world.deliver("sent")
    assert await world.receive("failed") == world.id
    assert isinstance(await world.learn(), DueExecution)
    row = await world.database.fetchrow("select * from executions where id = $1", world.held.id)
    assert row is not None
    assert (row["status"], row["awaits_reply_since"], row["wake_at"]) == ("queued", None, None)


async def test_an_outcome_waits_for_the_checkpoint_of_a_worker(world: World) -> None:
    """The time of the wait is over and a worker has the execution. If it waits again, the outcome resumes it."""
    await world.send(wake_at=datetime.now(UTC))
    again = await world.claim_again()
    assert again is not None
    await world.deliver("sent")
    assert await world.learn() == "running"
    assert await world.unlearned() == [(world.id, "sent")]
    waits = checkpoint(again, "waiting-callback", awaits_message=world.id, wake_at=LATER)
    await world.executions.checkpoint_many([waits])
    assert isinstance(await world.learn(), DueExecution)


@pytest.mark.parametrize("status", ["succeeded", "waiting-timer", "waiting-input"])
async def test_an_outcome_for_which_no_node_waits_is_removed(world: World, status: str) -> None:
    await world.send(status, awaits_message=None)
    await world.deliver("sent")
    assert await world.learn() == "over"
    assert await world.unlearned() == []
    assert await world.status() == status


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "running", "waiting-timer", "waiting-input"])
async def test_a_failure_for_which_no_node_waits_starts_one_execution(world: World, status: str) -> None:
    """In the same conversation. A failure after a replay of the message starts no second one."""
    await world.send(status, awaits=None, awaits_message=None)
    await world.deliver("failed")
    late = await world.learn()
    assert isinstance(late, LateFailure)
    assert (late.node_id, late.channel_id, late.version) == ("node-2", "whatsapp", 1)
    assert (late.execution_id, late.execution_status) == (world.held.id, status)
    assert await world.unlearned() == [(world.id, "failed")], "until the execution is stored"
    start = FollowingExecution(id=undelivered_execution_id(world.id), flow_id="welcome", trigger='{"webhook":{}}')
    due = await world.outcomes.finish_late(world.id, start)
    assert due is not None
    assert (due.id, due.channel, due.contact) == (start.id, world.held.channel, world.held.contact)
    assert await world.unlearned() == []
    await world.database.fetch(
        "insert into message_outcomes (notification_id, execution_id, status) values ($1, $2, 'failed')",
        world.id,
        world.held.id,
    )
    assert await world.outcomes.finish_late(world.id, start) is None
    assert await world.status() == status


async def test_a_failure_is_removed_if_no_flow_can_start(world: World) -> None:
    await world.send("succeeded", awaits=None)
    await world.deliver("failed")
    start = FollowingExecution(id=undelivered_execution_id(world.id), flow_id="unpublished", trigger="{}")
    assert await world.outcomes.finish_late(world.id, start) is None
    assert await world.unlearned() == []


async def test_the_outcome_of_a_message_without_an_execution_is_not_stored(world: World) -> None:
    await world.send("succeeded")
    await world.database.fetch("update notifications set execution_id = null")
    await world.deliver("failed")
    assert await world.unlearned() == []


@pytest.mark.parametrize("by_command", [True, False])
async def test_a_cancelled_message_resumes_its_execution(world: World, by_command: bool) -> None:
    await world.send()
    if by_command:
        assert await world.notifications.cancel(world.id) == "cancelled"
    else:
        await CancelRepository(world.database).request_notification(world.id)
        assert await world.notifications.begin_attempt(world.id) is None
    assert await world.unlearned() == [(world.id, "cancelled")]
    await world.learn()
    assert outcome_of(await world.claim_again()) == {"status": "cancelled", "error": None, "providerId": None}


async def test_the_dead_letter_of_the_outcomes_own_job_removes_the_outcome(world: World) -> None:
    """Otherwise the relay would enqueue it for ever. The execution is not touched."""
    await world.send("waiting-callback")
    await world.deliver("sent")
    payload = msgspec.json.encode({"notificationId": str(world.id), "status": "sent"})
    await DeadLetterRepository(world.database).insert_many([dead_letter(FLOWS.name, payload, function=LEARN_OUTCOME)])
    assert await world.unlearned() == []
    assert await world.status() == "waiting-callback"


async def test_many_outcomes_are_learned_in_one_call(world: World) -> None:
    ids = []
    for _ in range(3):
        await world.send()
        await world.deliver("sent")
        ids.append(world.id)
    answers = await world.outcomes.learn_many([*ids, ids[0]])
    assert all(isinstance(answer, DueExecution) for answer in answers)
