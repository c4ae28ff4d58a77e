"""Executions: created for events, claimed under a lease, and written by checkpoints that name their fence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import asyncpg

from filas.contract.identity import conversation_id
from filas.contract.storable_text import to_storable
from filas.errors import Conflict, LeaseLost, PermanentError, RetryLater, StoreBusy
from filas.memory_budget import SMALL_BYTES
from filas.models.executions import (
    LONGEST_RETRY_S,
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    ExecutionStatus,
    ExecutionWithSteps,
    NewExecution,
    ReplaySource,
    ReplayStart,
)
from filas.models.notifications import DueNotification, PendingReceipt
from filas.repository.executions import checkpoint_sql, execution_rows, execution_view_sql, replay_sql
from filas.repository.executions import execution_sql as sql
from filas.repository.executions.checkpoint_columns import columns_of, is_plain, plain_columns_of
from filas.repository.executions.execution_messages import messages_of
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database

Start = tuple[UUID, list[NewExecution]]
Turn = tuple[UUID, int]
"""The id of an execution, with the number of its turn or with the fence of its lease."""

Receipts = Mapping[UUID, Sequence[PendingReceipt]]

NO_RECEIPTS: Final[Receipts] = MappingProxyType({})
NO_REASONS: Final[Mapping[UUID, str]] = MappingProxyType({})

INLINE_BYTES: Final = SMALL_BYTES
"""The largest content of an execution that a claim of many executions returns."""

FIRST_TURN: Final = 1

MAX_RUNS: Final = 3
"""How often a statement is run for a batch, if it does not see the rows that another transaction writes meanwhile."""


class ExecutionRepository:
    """The tables `executions`, `steps` and `conversations`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked_starts = LockedItems[Start]("executions", "start", lambda start: start[0])
        self._locked_claims = LockedItems[Turn]("executions", "claim", lambda turn: turn[0])
        self._locked_messages = LockedItems[UUID]("executions", "resume", lambda execution_id: execution_id)
        self._locked_leases = LockedItems[Turn]("executions", "renew", lambda held: held[0])
        self._locked_checkpoints = LockedItems[Checkpoint]("executions", "checkpoint", lambda one: one.execution_id)

    async def start_many(
        self, starts: Sequence[Start], receipts: Receipts = NO_RECEIPTS, reasons: Mapping[UUID, str] = NO_REASONS
    ) -> list[list[DueExecution] | PermanentError | StoreBusy]:
        """Creates the executions of each event, in the published versions of their flows, and ends the event: it is
        `processed`, or `ignored` if it starts none, with its reason if it has one. The same transaction
        writes the event's delivery `receipts`.

        Returns for each event the executions that need a job. A repeated call changes nothing and returns those that
        still need one. If a flow has no published version, or Postgres rejects a value, the event is not changed and
        its result is a PermanentError; if another session holds a lock, it is a StoreBusy.
        """
        return [*await write_bisected(starts, partial(self._start, receipts, reasons), self._locked_starts)]

    async def _start(
        self, receipts: Receipts, reasons: Mapping[UUID, str], starts: Sequence[Start]
    ) -> list[list[DueExecution] | PermanentError]:
        new = [execution for _, executions in starts for execution in executions]
        pending = [(event_id, receipt) for event_id, _ in starts for receipt in receipts.get(event_id, ())]
        arguments = (
            [event_id for event_id, _ in starts],
            ["processed" if executions else "ignored" for _, executions in starts],
            [one.id for one in new],
            [one.event_id for one in new],
            [one.flow_id for one in new],
            [one.node_id for one in new],
            [_conversation(one) for one in new],
            [one.channel for one in new],
            [one.contact for one in new],
            [one.trigger for one in new],
            [event_id for event_id, _ in pending],
            [to_storable(receipt.job_id) for _, receipt in pending],
            [receipt.message for _, receipt in pending],
            [reasons.get(event_id) for event_id, _ in starts],
            [one.carries_message for one in new],
            [one.said for one in new],
        )
        for _ in range(MAX_RUNS):
            rows = await self._database.fetch(sql.START_MANY, *arguments)
            found = {row["id"]: row for row in rows if row["id"] is not None}
            missing = {row["event_id"] for row in rows if row["id"] is None}
            # An execution that another transaction creates while this statement runs is neither inserted nor visible.
            # The next statement sees it.
            if all(one.id in found or one.event_id in missing for one in new):
                return [
                    PermanentError(_unpublished(executions)) if event_id in missing else _due_among(executions, found)
                    for event_id, executions in starts
                ]
        raise RetryLater("another worker is creating the executions", delay_s=execution_rows.SOON_S, uses_attempt=False)

    async def claim(self, execution_id: UUID, turn: int, owner: str, lease_s: float) -> ClaimedExecution | None:
        """`claim_many` for one execution, with its content. Raises the exception that would be its result."""
        [answer] = await self.claim_many([(execution_id, turn)], owner, lease_s)
        if isinstance(answer, BaseException):
            raise answer
        return answer if answer is None or answer.is_loaded else await self.load(answer)

    async def load(self, claimed: ClaimedExecution) -> ClaimedExecution:
        """A claimed execution with its content. Raises LeaseLost if another worker has claimed it since."""
        row = await self._database.fetchrow(sql.LOAD, claimed.id, claimed.fence)
        if row is None:
            raise LeaseLost(f"execution {claimed.id}")
        return execution_rows.loaded(claimed, row)

    async def claim_many(
        self, turns: Sequence[Turn], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]:
        """Claims each execution for its turn: it becomes `running`, under `owner`'s lease, with a new fence.

        An execution can be claimed if it is queued, if its wait or retry is due, or if its lease has expired. The
        result is None if there is nothing to do: the turn is over, it waits, or the row does not exist. The result is
        RetryLater, which uses no attempt, if another worker holds the turn or its retry is not due, and StoreBusy if
        another session locks the row.

        If the execution carries a message and another execution of the conversation waits for one, the first is ended
        and the other is claimed in its place, with the message as its `reply`. The id of the result then differs from
        the requested id.

        The content of an execution with more than INLINE_BYTES is left out (`ClaimedExecution.is_loaded`), so that the
        answer is bounded in bytes.
        """
        first: dict[Turn, int] = {}
        for index, turn in enumerate(turns):
            first.setdefault(turn, index)
        answers = await self._claim(list(first), owner, lease_s)
        return [
            answers[turn] if first[turn] == index else execution_rows.claimed_elsewhere(None)
            for index, turn in enumerate(turns)
        ]

    async def _claim(
        self, turns: Sequence[Turn], owner: str, lease_s: float
    ) -> dict[Turn, ClaimedExecution | BaseException | None]:
        found: dict[Turn, asyncpg.Record] = {}
        busy: dict[Turn, BaseException] = {}
        # Nearly every first turn is that of an execution of which nothing but the row has to be looked at.
        first = [turn for turn in turns if turn[1] == FIRST_TURN]
        claimed = await write_bisected(first, partial(self._claim_fresh, owner, lease_s), self._locked_claims)
        for turn, row in zip(first, claimed, strict=True):
            if isinstance(row, BaseException):
                busy[turn] = row
            elif row is not None:
                found[turn] = row
        claim = partial(self._claim_rows, owner, lease_s)
        asked = [turn for turn in turns if turn not in found and turn not in busy]
        for _ in range(MAX_RUNS):
            claimed = await write_bisected(asked, claim, self._locked_claims)
            for turn, row in zip(asked, claimed, strict=True):
                if isinstance(row, BaseException):
                    busy[turn] = row
                elif row is not None:
                    found[turn] = row
            messages = [turn for turn in asked if turn in found and _may_resume(found[turn])]
            resumed = await write_bisected([one for one, _ in messages], self._resume_rows, self._locked_messages)
            asked = []
            for turn, answer in zip(messages, resumed, strict=True):
                if isinstance(answer, BaseException):
                    busy[turn] = answer
                elif answer:
                    asked.append(turn)
            if not asked:
                break
        return {turn: execution_rows.claim(row) for turn, row in found.items()} | busy

    async def _claim_fresh(self, owner: str, lease_s: float, turns: Sequence[Turn]) -> list[asyncpg.Record | None]:
        rows = await self._database.fetch(sql.CLAIM_FRESH, [one for one, _ in turns], owner, lease_s, INLINE_BYTES)
        found = {row["id"]: row for row in rows}
        return [found.get(one) for one, _ in turns]

    async def _claim_rows(self, owner: str, lease_s: float, turns: Sequence[Turn]) -> list[asyncpg.Record | None]:
        ids, numbers = [one for one, _ in turns], [number for _, number in turns]
        rows = await self._database.fetch(sql.CLAIM_MANY, ids, numbers, owner, lease_s, INLINE_BYTES)
        found = {(row["asked_id"], row["asked_turn"]): row for row in rows}
        return [found.get(turn) for turn in turns]

    async def _resume_rows(self, message_ids: Sequence[UUID]) -> list[bool]:
        resumed = {row["id"] for row in await self._database.fetch(sql.RESUME_MANY, message_ids)}
        return [one in resumed for one in message_ids]

    async def leave_waits(self, execution_id: UUID) -> list[DueExecution]:
        """Requests the cancellation of all executions that wait in the conversation of this one, which begins. Returns
        them: they need a job. Raises StoreBusy if another session locks one of them."""
        return [execution_rows.due(row) for row in await self._database.fetch(sql.LEAVE_WAITS, execution_id)]

    async def renew(self, held: Sequence[Turn], lease_s: float) -> set[UUID]:
        """Renews the leases of these (id, fence) for `lease_s` seconds. Returns the ids that are still held.

        While another session locks a row, its lease is not renewed, and its id is in the result: no other worker can
        claim the execution either.
        """
        kept = await write_bisected(held, partial(self._renew, lease_s), self._locked_leases)
        return {execution_id for (execution_id, _), answer in zip(held, kept, strict=True) if answer}

    async def _renew(self, lease_s: float, held: Sequence[Turn]) -> list[bool]:
        rows = await self._database.fetch(sql.RENEW, [one for one, _ in held], [fence for _, fence in held], lease_s)
        renewed = {row["id"] for row in rows}
        return [execution_id in renewed for execution_id, _ in held]

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | Exception | None]:
        """Writes each checkpoint as a whole if its fence is still the fence of the row. Returns the status that each
        execution has then, or None if the fence is lost.

        All are written in one transaction, with three exceptions: a checkpoint that Postgres rejects has an Unstorable
        as its result, one whose execution or conversation another session locks has a StoreBusy, and a second
        checkpoint of one execution is written after the first. A repeated checkpoint changes
        nothing more. Steps replace the steps with the same number; notifications and executions that exist are not
        changed. A wait ends at the execution's deadline at the latest. If the execution is to be cancelled, no wait
        begins: it is `queued`, in the same turn.
        """
        answers: dict[int, ExecutionStatus | Exception | None] = {}
        waiting = list(enumerate(checkpoints))
        while waiting:
            batch, waiting = _without_repeats(waiting)
            written = await write_bisected(
                [checkpoint for _, checkpoint in batch], self._checkpoint, self._locked_checkpoints
            )
            answers.update(zip((index for index, _ in batch), written, strict=True))
        return [answers[index] for index in range(len(checkpoints))]

    async def _checkpoint(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        if all(map(is_plain, checkpoints)):
            arguments = plain_columns_of(checkpoints)
            rows = await self._database.fetch(checkpoint_sql.CHECKPOINT_PLAIN, *arguments)
        else:
            rows = await self._database.fetch(checkpoint_sql.CHECKPOINT_MANY, *columns_of(checkpoints))
        statuses = {row["id"]: row["status"] for row in rows}
        return [statuses[checkpoint.execution_id] for checkpoint in checkpoints]

    async def unfinished_notifications(self, execution_ids: Iterable[UUID]) -> list[DueNotification]:
        """The notifications of these executions without a final status, in order. They may have no job yet."""
        rows = await self._database.fetch(sql.UNFINISHED_NOTIFICATIONS, list(execution_ids))
        return [DueNotification(**row) for row in rows]

    async def queue_due(self, limit: int) -> list[DueExecution]:
        """Queues the executions whose wait has ended (at most `limit`, the longest due first) and returns them.

        Several callers share the work: each execution is returned to one of them.
        """
        return [execution_rows.due(row) for row in await self._database.fetch(sql.QUEUE_DUE, limit)]

    async def seconds_to_next_wake(self) -> float | None:
        """In how many seconds the next wait ends, by the clock of Postgres; below 0 if it is due already. None if no
        execution waits for a time."""
        seconds: float | None = await self._database.fetchval(sql.SECONDS_TO_NEXT_WAKE)
        return seconds

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[DueExecution]:
        """Executions that were ready at least `older_than_s` seconds ago and do not run, the oldest first: `queued`, or
        `running` under an expired lease. `after` is the last id of the page before."""
        return [
            execution_rows.due(row) for row in await self._database.fetch(sql.UNFINISHED, older_than_s, limit, after)
        ]

    async def holding(self, limit: int, after: UUID | None = None) -> list[DueExecution]:
        """Executions whose job holds their conversation although it is not due, in the order of their ids: they run, or
        wait for a retry within LONGEST_RETRY_S or for the outcome of a message. `after` is the last id of the page
        before."""
        rows = await self._database.fetch(sql.HOLDING, limit, after, LONGEST_RETRY_S)
        return [execution_rows.due(row) for row in rows]

    async def reopen(self, execution_id: UUID, turn: int) -> bool:
        """Queues an execution that failed in `turn` again, from its last checkpoint. False if it did not fail there."""
        return await self._database.fetchrow(sql.REOPEN, execution_id, turn) is not None

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None:
        """Requests the cancellation of an execution. None if it has ended or does not exist.

        An execution that waits is queued, and the caller enqueues its job. The worker of one that runs sees the request
        through `cancel_requested`, or at the next claim (`ClaimedExecution.cancel_requested`).
        """
        row = await self._database.fetchrow(sql.REQUEST_CANCEL, execution_id)
        return execution_rows.due(row) if row else None

    async def replay(
        self,
        execution_id: UUID,
        new_id: UUID,
        *,
        from_failure: bool = False,
        newest: bool = False,
        version: int | None = None,
        trigger: str | None = None,
        start: ReplayStart | None = None,
        run: UUID | None = None,
    ) -> DueExecution | None:
        """Creates the execution `new_id`, which replays an execution that has ended: from its start, from where it
        failed or from `start`, in its own version, in the published one or in `version`, with its own trigger or
        another. `run` is the replay run that does it.

        Returns the execution that needs a job. None if `execution_id` does not exist, or `new_id` exists already.
        Raises Conflict if the execution has not ended, has no saved state, or its flow has no such version.
        """
        found = await self._database.fetchrow(replay_sql.REPLAYABLE, execution_id, version)
        if found is None:
            return None
        if not found["ended"]:
            raise Conflict("it has not ended")
        if found["resumed"]:
            raise Conflict("its message resumed another execution: replay that one")
        if from_failure and not found["has_state"]:
            raise Conflict("it has no saved state: replay it from its start")
        if newest and found["published_version"] is None:
            raise Conflict("its flow has no published version")
        if not found["has_version"]:
            raise Conflict(f"its flow has no version {version}")
        node_id, state = (None, None) if start is None else (start.node_id, start.state)
        row = await self._database.fetchrow(
            replay_sql.REPLAY, execution_id, new_id, from_failure, newest, trigger, version, node_id, state, run
        )
        return execution_rows.due(row) if row else None

    async def replay_source(self, execution_id: UUID) -> ReplaySource | None:
        """What a replay from any node needs of an execution, or None."""
        row = await self._database.fetchrow(replay_sql.REPLAY_SOURCE, execution_id)
        if row is None:
            return None
        replies = await self._database.fetch(replay_sql.REPLY_TRIGGERS, execution_id)
        return ReplaySource(
            flow_id=row["flow_id"],
            version=row["version"],
            published_version=row["published_version"],
            state=row["state"],
            replies=[(one["queued_at"], one["trigger"]) for one in replies],
        )

    async def cancel_requested(self, execution_ids: Iterable[UUID]) -> set[UUID]:
        """Those of the executions whose cancellation was requested and that have not ended."""
        return {row["id"] for row in await self._database.fetch(sql.CANCEL_REQUESTED, list(execution_ids))}

    async def get(self, execution_id: UUID) -> ExecutionWithSteps | None:
        """The execution with its steps and messages in order, or None. Beyond STEPS_BYTES, a step's output states that
        it is not shown."""
        row = await self._database.fetchrow(execution_view_sql.GET, execution_id)
        if row is None:
            return None
        found = await self._database.fetch(execution_view_sql.STEPS, execution_id, execution_view_sql.STEPS_BYTES)
        steps = [execution_rows.step(one) for one in found]
        messages = await messages_of(self._database, execution_id)
        return ExecutionWithSteps(**execution_rows.fields(row), steps=steps, messages=messages)


def _conversation(one: NewExecution) -> UUID | None:
    if one.channel is None or one.contact is None:
        return None
    return one.conversation_id or conversation_id(one.channel, one.contact)


def _unpublished(executions: Sequence[NewExecution]) -> str:
    flows = ", ".join(sorted({execution.flow_id for execution in executions}))
    return f"no version of the flow is published: {flows}"


def _may_resume(row: asyncpg.Record) -> bool:
    """Whether it was not claimed because it carries a message for which another execution may wait."""
    return bool(row["seen_turn"] and row["seen_message"] and row["seen_status"] == "queued")


def _due_among(executions: Sequence[NewExecution], found: dict[Any, asyncpg.Record]) -> list[DueExecution]:
    return [execution_rows.due(found[one.id]) for one in executions if found[one.id]["due"]]


def _without_repeats(
    checkpoints: list[tuple[int, Checkpoint]],
) -> tuple[list[tuple[int, Checkpoint]], list[tuple[int, Checkpoint]]]:
    """The first checkpoint of each execution, and the other ones: one statement can write a row only once."""
    seen: set[UUID] = set()
    batch: list[tuple[int, Checkpoint]] = []
    others: list[tuple[int, Checkpoint]] = []
    for numbered in checkpoints:
        execution_id = numbered[1].execution_id
        (others if execution_id in seen else batch).append(numbered)
        seen.add(execution_id)
    return batch, others
