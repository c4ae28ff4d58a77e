"""A store of executions in memory, for tests of the engine. It passes the same tests as the real repository."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.comparable_text import comparable
from filas.errors import RetryLater
from filas.flows.definition.flow_definition import ConversationSettings
from filas.models.executions import (
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    ExecutionStatus,
    FollowingExecution,
    NewNotification,
    Question,
    StepRecord,
)
from filas.models.notifications import DueNotification
from filas.models.record import ErrorDetail
from flow_runner.engine.ports import Clock

WAITS = {"waiting-timer", "waiting-input", "waiting-callback"}
FINAL = {"succeeded", "failed", "cancelled", "timed-out"}
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class MemoryClock:
    """A clock that a test moves. Its jitter is always the full wait."""

    def __init__(self) -> None:
        self.time = START
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def share(self) -> float:
        return 1.0

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


@dataclass
class Row:
    """One execution."""

    id: UUID
    node_id: str
    trigger: str
    channel: str | None
    contact: str | None
    version: int = 1
    status: ExecutionStatus = "queued"
    turn: int = 1
    fence: int = 0
    lease_until: datetime | None = None
    wake_at: datetime | None = None
    state: str | None = None
    error: ErrorDetail | None = None
    output: Any = None
    started_at: datetime | None = None
    cancel_requested: bool = False
    carries_message: bool = True
    awaits_reply_since: datetime | None = None
    reply: str | None = None
    resumed: tuple[UUID, int] | None = None
    start_state: str | None = None
    awaits_callback: UUID | None = None
    awaits_message: UUID | None = None
    message_outcome: str | None = None
    question: Question | None = None
    superseded: bool = False
    steps: dict[int, StepRecord] = field(default_factory=dict)


class MemoryRows:
    """The claims and checkpoints of the repository, with dictionaries."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[UUID, Row] = {}
        self.notifications: dict[UUID, NewNotification] = {}
        self.conversation_vars: dict[UUID, str] = {}
        self.checkpoints: list[Checkpoint] = []
        # For each address: the content of its callback, None if it was closed before a callback arrived.
        self.callbacks: dict[UUID, str | None] = {}
        # The settings of the flow of all executions.
        self.settings = ConversationSettings()

    def add(
        self,
        *,
        node_id: str = "start",
        channel: str | None = "demo",
        contact: str | None = "55119",
        webhook: Any = None,
        text: str | None = "oi",
        message: dict[str, Any] | None = None,
    ) -> Row:
        if text is not None:
            message = {"id": "m1", "kind": "text", "text": text, "contact": contact, **(message or {})}
        trigger = {"webhook": webhook or {"body": {"text": text}, "headers": {}, "queryParams": {}}, "message": message}
        row = Row(uuid.uuid4(), node_id, msgspec.json.encode(trigger).decode(), channel, contact)
        row.carries_message = channel is not None
        self.rows[row.id] = row
        return row

    async def claim_many(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]:
        await asyncio.sleep(0)
        return [self._claim(execution_id, turn, lease_s) for execution_id, turn in turns]

    async def load(self, claimed: ClaimedExecution) -> ClaimedExecution:
        return claimed

    def _claim(self, execution_id: UUID, turn: int, lease_s: float) -> ClaimedExecution | BaseException | None:
        row, now = self.rows.get(execution_id), self.clock.now()
        if row is not None:
            row, turn = self._resumed_by(row, turn)
        if row is None or row.turn != turn or row.status in FINAL:
            return None
        called = row.status == "waiting-callback" and row.awaits_callback in self.callbacks
        if row.status in {*WAITS, "retrying"} and row.wake_at is not None and row.wake_at > now and not called:
            later = RetryLater("not due", delay_s=(row.wake_at - now).total_seconds(), uses_attempt=False)
            held = row.status == "waiting-callback" and row.awaits_message and row.wake_at <= now + timedelta(minutes=1)
            return later if row.status == "retrying" or held else None
        if row.status == "running" and row.lease_until is not None and row.lease_until > now:
            return RetryLater("held", delay_s=1.0, uses_attempt=False)
        before = row.status
        row.status, row.fence, row.lease_until = "running", row.fence + 1, now + timedelta(seconds=lease_s)
        row.started_at, row.awaits_reply_since = row.started_at or now, None
        if row.awaits_callback is not None:
            self.callbacks.setdefault(row.awaits_callback, None)
        conversation = uuid.uuid5(uuid.NAMESPACE_URL, f"{row.channel}:{row.contact}") if row.channel else None
        return ClaimedExecution(
            id=row.id,
            fence=row.fence,
            turn=row.turn,
            flow_id="flow",
            version=row.version,
            node_id=row.node_id,
            event_id=None,
            conversation_id=conversation,
            channel=row.channel,
            contact=row.contact,
            trigger=row.trigger,
            state=row.state,
            status_before=before,
            started_at=row.started_at,
            deadline_at=None,
            conversation_vars=self.conversation_vars.get(conversation, "{}") if conversation else None,
            cancel_requested=row.cancel_requested,
            claimed_at=now,
            start_state=row.start_state,
            reply=row.reply,
            call=self.callbacks[row.awaits_callback] if row.awaits_callback else None,
            message_outcome=row.message_outcome,
            superseded=row.superseded,
            leaves_waits=self._leaves_waits(row),
        )

    def learn(self, notification_id: UUID, status: str, error: ErrorDetail | None = None) -> str:
        """The outcome of a message arrives: `resumed` if its execution waits for it, `running` if a worker runs the
        execution, otherwise `over`."""
        row = self.rows[self.notifications[notification_id].execution_id]
        if row.awaits_message != notification_id or row.status in FINAL:
            return "over"
        if row.status not in WAITS:
            return "running"
        row.status, row.wake_at, row.awaits_reply_since = "queued", None, None
        outcome = {"status": status, "error": error, "providerId": f"provider:{row.id}"}
        row.message_outcome = msgspec.json.encode(outcome).decode()
        return "resumed"

    def _leaves_waits(self, row: Row) -> bool:
        begins = row.state is None and row.start_state is None and row.channel is not None
        return begins and (self.settings.on_new_start == "replace" or self._restarts(row))

    def _restarts(self, row: Row) -> bool:
        text = (msgspec.json.decode(row.trigger).get("message") or {}).get("text")
        said = comparable(text) if row.carries_message and text else None
        return said is not None and said in [comparable(one) for one in self.settings.restart_on]

    async def leave_waits(self, execution_id: UUID) -> list[DueExecution]:
        await asyncio.sleep(0)
        begins = self.rows[execution_id]
        left = [row for row in self._others(begins) if row.status in WAITS]
        return [due for row in left if (due := self._request_cancel(row)) is not None]

    def _others(self, row: Row) -> list[Row]:
        talk = (row.channel, row.contact)
        return [other for other in self.rows.values() if other is not row and (other.channel, other.contact) == talk]

    def _resumed_by(self, row: Row, turn: int) -> tuple[Row, int]:
        """The execution that waits for this execution's message, with the number of its run; otherwise this
        execution."""
        if row.resumed is None and row.carries_message and row.fence == 0 and row.turn == turn:
            waiting = [other for other in self._others(row) if other.awaits_reply_since]
            if waiting and not row.cancel_requested and not self._restarts(row):
                newest = max(
                    waiting,
                    key=lambda other: (other.status == "waiting-input", other.awaits_reply_since or START),
                )
                newest.status, newest.wake_at, newest.awaits_reply_since = "queued", None, None
                newest.reply, row.status, row.resumed = row.trigger, "succeeded", (newest.id, newest.turn)
        return (self.rows[row.resumed[0]], row.resumed[1]) if row.resumed else (row, turn)

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        await asyncio.sleep(0)
        return [self._checkpoint(checkpoint) for checkpoint in checkpoints]

    def _checkpoint(self, checkpoint: Checkpoint) -> ExecutionStatus | None:
        row = self.rows[checkpoint.execution_id]
        if row.fence != checkpoint.fence or row.status != "running":
            return None
        self.checkpoints.append(checkpoint)
        row.status, row.state, row.reply = checkpoint.status, checkpoint.state, None
        if row.cancel_requested and row.status in {*WAITS, "retrying"}:
            row.status = "queued"
        question = row.question = checkpoint.question
        asked_at = question.asked_at if question else self.clock.now()
        row.awaits_reply_since = asked_at if checkpoint.awaits_reply and row.status in WAITS else None
        row.superseded = question is not None and question.superseded
        row.awaits_callback, row.awaits_message = checkpoint.awaits_callback, checkpoint.awaits_message
        row.message_outcome = None
        if question is not None and not question.superseded and row.status == "waiting-input":
            self._supersede(row)
        row.wake_at, row.error, row.output = checkpoint.wake_at, checkpoint.error, checkpoint.output
        row.steps |= {step.seq: step for step in checkpoint.steps}
        for notification in checkpoint.notifications:
            self.notifications.setdefault(notification.id, notification)
        for following in checkpoint.starts:
            self._start(row, following)
        if checkpoint.conversation_vars is not None:
            conversation = uuid.uuid5(uuid.NAMESPACE_URL, f"{row.channel}:{row.contact}")
            self.conversation_vars[conversation] = checkpoint.conversation_vars
        if row.status != "running":
            row.lease_until = None
            row.turn += row.status in WAITS and not checkpoint.keeps_turn
        return row.status

    def _supersede(self, row: Row) -> None:
        for other in self._others(row):
            if other.status == "waiting-input" and other.question is not None and not other.superseded:
                other.superseded = True
                other.wake_at = min(other.wake_at or other.question.idle_at, other.question.idle_at)

    def _start(self, parent: Row, new: FollowingExecution) -> None:
        row = Row(new.id, new.node_id, new.trigger, parent.channel, parent.contact, carries_message=False)
        self.rows.setdefault(new.id, row)

    async def unfinished_notifications(self, execution_ids: Iterable[UUID]) -> list[DueNotification]:
        await asyncio.sleep(0)
        asked = set(execution_ids)
        return [
            DueNotification(id=one.id, channel_id=one.channel_id, conversation_id=None, recipient=one.recipient)
            for one in self.notifications.values()
            if one.execution_id in asked
        ]

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None:
        await asyncio.sleep(0)
        row = self.rows.get(execution_id)
        return None if row is None else self._request_cancel(row)

    def _request_cancel(self, row: Row) -> DueExecution | None:
        if row.status in FINAL:
            return None
        row.cancel_requested, row.wake_at, row.awaits_reply_since = True, None, None
        row.status = "running" if row.status == "running" else "queued"
        return DueExecution(
            id=row.id,
            turn=row.turn,
            flow_id="flow",
            conversation_id=None,
            status=row.status,
            channel=row.channel,
            contact=row.contact,
        )

    async def get(self, execution_id: UUID) -> Row | None:
        await asyncio.sleep(0)
        return self.rows.get(execution_id)

    async def reopen(self, execution_id: UUID, turn: int) -> bool:
        await asyncio.sleep(0)
        row = self.rows.get(execution_id)
        if row is None or row.status != "failed" or row.turn != turn:
            return False
        row.status, row.error = "queued", None
        return True

    async def cancel_requested(self, execution_ids: Iterable[UUID]) -> set[UUID]:
        await asyncio.sleep(0)
        return {key for key in execution_ids if self.rows[key].cancel_requested}

    async def renew(self, held: Sequence[tuple[UUID, int]], lease_s: float) -> set[UUID]:
        await asyncio.sleep(0)
        kept = {key for key, fence in held if self.rows[key].fence == fence and self.rows[key].status == "running"}
        for key in kept:
            self.rows[key].lease_until = self.clock.now() + timedelta(seconds=lease_s)
        return kept
