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
from filas.errors import Conflict, PermanentError, RetryLater
from filas.models.executions import (
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    Execution,
    ExecutionStatus,
    ExecutionWithSteps,
    NewExecution,
)
from filas.models.notifications import DueNotification, PendingReceipt
from filas.models.record import Page
from filas.repository.executions import execution_rows
from filas.repository.executions import execution_sql as sql
from filas.repository.executions.checkpoint_columns import columns_of
from filas.repository.postgres import paging
from filas.repository.postgres.batch_bisection import write_bisected
from filas.repository.postgres.database import Database

Start = tuple[UUID, list[NewExecution]]
Receipts = Mapping[UUID, Sequence[PendingReceipt]]

NO_RECEIPTS: Final[Receipts] = MappingProxyType({})

MAX_RUNS: Final = 3
"""How often a statement is run for a batch, if it does not see the rows that another transaction writes meanwhile."""


class ExecutionRepository:
    """The tables `executions`, `steps` and `conversations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start_many(
        self, starts: Sequence[Start], receipts: Receipts = NO_RECEIPTS
    ) -> list[list[DueExecution] | PermanentError]:
        """Creates the executions of each event, in the published versions of their flows, and ends the event: it is
        `processed`, or `ignored` if it starts none. The same transaction writes the event's delivery `receipts`.

        Returns for each event the executions that need a job. A repeated call changes nothing and returns those that
        still need one. If a flow has no published version, or Postgres rejects a value, the event is not changed and
        its result is a PermanentError.
        """
        return [*await write_bisected(starts, partial(self._start, receipts))]

    async def _start(self, receipts: Receipts, starts: Sequence[Start]) -> list[list[DueExecution] | PermanentError]:
        new = [execution for _, executions in starts for execution in executions]
        pending = [(event_id, receipt) for event_id, _ in starts for receipt in receipts.get(event_id, ())]
        conversations = [
            conversation_id(one.channel, one.contact) if one.channel is not None and one.contact is not None else None
            for one in new
        ]
        arguments = (
            [event_id for event_id, _ in starts],
            ["processed" if executions else "ignored" for _, executions in starts],
            [one.id for one in new],
            [one.event_id for one in new],
            [one.flow_id for one in new],
            [one.node_id for one in new],
            conversations,
            [one.channel for one in new],
            [one.contact for one in new],
            [one.trigger for one in new],
            [event_id for event_id, _ in pending],
            [to_storable(receipt.job_id) for _, receipt in pending],
            [receipt.message for _, receipt in pending],
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
        """`claim_many` for one execution. Raises the exception that would be its result."""
        [answer] = await self.claim_many([(execution_id, turn)], owner, lease_s)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def claim_many(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]:
        """Claims each execution for its turn: it becomes `running`, under `owner`'s lease, with a new fence.

        An execution can be claimed if it is queued, if its wait or retry is due, or if its lease has expired. The
        result is None if there is nothing to do: the turn is over, it waits, or the row does not exist. The result is
        RetryLater, which uses no attempt, if another worker holds the turn or its retry is not due.

        If the execution carries a message and another execution of the conversation waits for one, the first is ended
        and the other is claimed in its place, with the message as its `reply`. The id of the result then differs from
        the requested id.
        """
        first: dict[tuple[UUID, int], int] = {}
        for index, turn in enumerate(turns):
            first.setdefault(turn, index)
        answers = await self._claim(list(first), owner, lease_s)
        return [
            answers[turn] if first[turn] == index else execution_rows.claimed_elsewhere(None)
            for index, turn in enumerate(turns)
        ]

    async def _claim(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> dict[tuple[UUID, int], ClaimedExecution | BaseException | None]:
        found: dict[tuple[UUID, int], asyncpg.Record] = {}
        asked = turns
        for _ in range(MAX_RUNS):
            ids, numbers = [one for one, _ in asked], [number for _, number in asked]
            rows = await self._database.fetch(sql.CLAIM_MANY, ids, numbers, owner, lease_s)
            found.update(((row["asked_id"], row["asked_turn"]), row) for row in rows)
            messages = [row["asked_id"] for row in rows if row["id"] is None and _may_resume(row)]
            resumed = {row["id"] for row in await self._database.fetch(sql.RESUME_MANY, messages)} if messages else ()
            asked = [turn for turn in asked if turn[0] in resumed]
            if not asked:
                break
        return {turn: execution_rows.claim(row) for turn, row in found.items()}

    async def renew(self, held: Sequence[tuple[UUID, int]], lease_s: float) -> set[UUID]:
        """Renews the leases of these (id, fence) for `lease_s` seconds. Returns the ids that are still held."""
        rows = await self._database.fetch(sql.RENEW, [one for one, _ in held], [fence for _, fence in held], lease_s)
        return {row["id"] for row in rows}

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | Exception | None]:
        """Writes each checkpoint as a whole if its fence is still the fence of the row. Returns the status that each
        execution has then, or None if the fence is lost.

        All are written in one transaction, with two exceptions: a checkpoint that Postgres rejects has an Unstorable as
        its result, and a second checkpoint of one execution is written after the first. A repeated checkpoint changes
        nothing more. Steps replace the steps with the same number; notifications and executions that exist are not
        changed. A wait ends at the execution's deadline at the latest. If the execution is to be cancelled, no wait
        begins: it is `queued`, in the same turn.
        """
        answers: dict[int, ExecutionStatus | Exception | None] = {}
        waiting = list(enumerate(checkpoints))
        while waiting:
            batch, waiting = _without_repeats(waiting)
            written = await write_bisected([checkpoint for _, checkpoint in batch], self._checkpoint)
            answers.update(zip((index for index, _ in batch), written, strict=True))
        return [answers[index] for index in range(len(checkpoints))]

    async def _checkpoint(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        rows = await self._database.fetch(sql.CHECKPOINT_MANY, *columns_of(checkpoints))
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
        self, execution_id: UUID, new_id: UUID, *, from_failure: bool, newest: bool, trigger: str | None = None
    ) -> DueExecution | None:
        """Creates the execution `new_id`, which replays an execution that has ended: from its start or from where it
        failed, in its own version or in the published one, with its own trigger or another.

        Returns the execution that needs a job. None if `execution_id` does not exist, or `new_id` exists already.
        Raises Conflict if the execution has not ended, has no saved state, or its flow has no published version.
        """
        found = await self._database.fetchrow(sql.REPLAYABLE, execution_id)
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
        row = await self._database.fetchrow(sql.REPLAY, execution_id, new_id, from_failure, newest, trigger)
        return execution_rows.due(row) if row else None

    async def cancel_requested(self, execution_ids: Iterable[UUID]) -> set[UUID]:
        """Those of the executions whose cancellation was requested and that have not ended."""
        return {row["id"] for row in await self._database.fetch(sql.CANCEL_REQUESTED, list(execution_ids))}

    async def get(self, execution_id: UUID) -> ExecutionWithSteps | None:
        """The execution with its steps in order, or None. Beyond STEPS_BYTES, a step's output states that it is not
        shown."""
        row = await self._database.fetchrow(sql.GET, execution_id)
        if row is None:
            return None
        found = await self._database.fetch(sql.STEPS, execution_id, sql.STEPS_BYTES)
        steps = [execution_rows.step(one) for one in found]
        return ExecutionWithSteps(**execution_rows.fields(row), steps=steps)

    async def search(
        self,
        *,
        flow_id: str | None = None,
        status: ExecutionStatus | None = None,
        event_id: UUID | None = None,
        conversation_id: UUID | None = None,
        cursor: str | None = None,
        limit: int = paging.DEFAULT_LIMIT,
    ) -> Page:
        """One page of executions without their steps, the newest first. Raises InvalidCursor.

        Executions whose message resumed another one are left out. With `event_id`, the resumed execution is found.
        """
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("flow_id = {}", flow_id)
        search.add("status = {}", status)
        search.add("resumed_id is null")
        search.add(sql.SEARCH_EVENT, event_id)
        search.add("conversation_id = {}", conversation_id)
        search.before(cursor, "queued_at")
        order = ("order by queued_at desc, id desc limit", search.place(limit + 1))
        select = " ".join((sql.SEARCH, search.where(), *order))
        statement = paging.within_bytes(select, sql.SIZE, "queued_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "queued_at", lambda row: Execution(**execution_rows.fields(row)))


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
