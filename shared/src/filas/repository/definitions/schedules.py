"""Schedules. Ingest stores and shows them; the flow-runners run their ticks, each tick once."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from filas.contract.identity import scheduled_execution_id
from filas.models.contacts import FoundConversation
from filas.models.executions import DueExecution
from filas.models.interval import Interval
from filas.models.record import ErrorDetail, Page
from filas.models.schedules import DueTicks, Schedule, ScheduleConversation
from filas.repository.contacts.contact_repository import conversations_on
from filas.repository.definitions import schedule_sql as sql
from filas.repository.postgres import paging
from filas.repository.postgres.database import Connection, Database
from filas.repository.postgres.json_columns import error_detail, from_json, to_json

_UNREADABLE: Final = "unreadable"
"""The kind of the error of a schedule whose row cannot be decoded."""

_TIMING: Final = ("cron", "every", "timezone", "at", "starts_at", "ends_at", "enabled")
"""The fields that determine the ticks. While none of them changes, a tick that is due stays due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun:
    """The outcome of one due schedule. `started`: the executions of its ticks, which need jobs. `error`: why the last
    tick started no execution; `new_error`: the schedule had another error before, or none. `decided_at`: the time of
    the decision, by the database's clock."""

    schedule: Schedule
    ticks: DueTicks
    started: builtins.list[DueExecution]
    error: ErrorDetail | None
    new_error: bool
    decided_at: datetime


class ScheduleRepository:
    """The table `schedules`, and the executions that the ticks start."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, schedule: Schedule, first_tick: Callable[[Schedule, datetime], datetime | None]) -> Schedule:
        """Creates or replaces the schedule with this id. Returns it as stored.

        `first_tick(schedule, now)` returns the first tick after `now`, by the database's clock. It is called if the
        times have changed, so that a schedule that is stored again unchanged loses no tick that is due.
        """
        async with self._database.transaction() as connection:
            now = await connection.fetchval(sql.LOCK_REVISION)
            row = await connection.fetchrow(sql.GET_FOR_UPDATE, schedule.id)
            before = _schedule(row) if row else None
            if before is not None and _timing(before) == _timing(schedule):
                next_run_at = before.next_run_at
            else:
                next_run_at = first_tick(schedule, now)
            [row] = await connection.fetch(sql.STORE, *_columns(schedule), next_run_at)
        return _schedule(row)

    async def get(self, schedule_id: str) -> Schedule | None:
        """The schedule with this id, or None."""
        row = await self._database.fetchrow(sql.GET, schedule_id)
        return _schedule(row) if row else None

    async def delete(self, schedule_id: str) -> bool:
        """Deletes the schedule. False if there was none. Its executions are kept."""
        return await self._database.fetchrow(sql.DELETE, schedule_id) is not None

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the schedules in the order of their ids. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        rows = await self._database.fetch(sql.LIST, paging.after_name(cursor), limit + 1)
        return paging.page_by_name(rows, limit, "id", _schedule)

    async def seconds_to_next_tick(self) -> float | None:
        """The seconds until the next tick of any schedule, by the database's clock. Negative if a tick is due, None if
        there is no next tick."""
        seconds: float | None = await self._database.fetchval(sql.SECONDS_TO_NEXT_TICK)
        return seconds

    async def run_due(
        self, limit: int, due_ticks: Callable[[Schedule, datetime], DueTicks]
    ) -> builtins.list[ScheduleRun]:
        """Runs at most `limit` due schedules that no other worker holds. One transaction writes the executions of their
        ticks and their next tick. `due_ticks(schedule, now)` decides which ticks run.

        The id of an execution is derived from its schedule and tick. If the flow of a tick cannot be started, the
        schedule records the error and continues with the next tick.
        """
        async with self._database.transaction() as connection:
            rows = await connection.fetch(sql.LOCK_DUE, limit)
            due = [_due(row, due_ticks) for row in rows]
            runs = await _start(connection, due)
            if runs:
                await connection.execute(sql.ADVANCE, *_advanced(runs))
        return runs


class _Due(NamedTuple):
    """A locked schedule and the decision about its ticks."""

    schedule: Schedule
    ticks: DueTicks
    now: datetime


def _due(row: asyncpg.Record, due_ticks: Callable[[Schedule, datetime], DueTicks]) -> _Due:
    """The decision about a due row. A row that cannot be decoded, or whose ticks cannot be computed, runs no tick and
    has no next one, so that it does not stop the schedules that are due with it."""
    schedule = _schedule(row)
    if schedule.last_error is not None and schedule.last_error.kind == _UNREADABLE:
        return _Due(schedule, DueTicks(run=[], next_run_at=None, error=schedule.last_error), row["now"])
    try:
        ticks = due_ticks(schedule, row["now"])
    except Exception as error:
        detail = ErrorDetail(kind="schedule", message=f"the ticks cannot be computed: {error!r}"[:1000])
        ticks = DueTicks(run=[], next_run_at=None, error=detail)
    return _Due(schedule, ticks, row["now"])


async def _start(connection: Connection, due: Sequence[_Due]) -> list[ScheduleRun]:
    runs = [(one.schedule, tick) for one in due for tick in one.ticks.run]
    talks = [schedule.conversation for schedule, _ in runs]
    found = await conversations_on(connection, [(talk.channel, talk.contact) if talk else None for talk in talks])
    rows = iter(await connection.fetch(sql.START, *_new_executions(runs, found)) if runs else [])
    return [_run(one, [next(rows) for _ in one.ticks.run]) for one in due]


def _run(due: _Due, rows: Sequence[asyncpg.Record]) -> ScheduleRun:
    schedule, ticks, now = due
    started = [
        DueExecution(
            id=row["id"],
            turn=1,
            flow_id=schedule.flow_id,
            conversation_id=row["conversation_id"],
            status="queued",
            channel=row["channel"],
            contact=row["contact"],
        )
        for row in rows
        if row["version"] is not None
    ]
    error = ticks.error or (_unstartable(schedule, rows[-1], ticks.run[-1]) if rows else None)
    known = schedule.last_error
    new_error = error is not None and (known is None or known.message != error.message)
    return ScheduleRun(
        schedule=schedule, ticks=ticks, started=started, error=error, new_error=new_error, decided_at=now
    )


def _unstartable(schedule: Schedule, row: asyncpg.Record, tick: datetime) -> ErrorDetail | None:
    if row["version"] is not None:
        return None
    detail = {"tick": tick.isoformat()}
    if not row["flow_exists"]:
        return ErrorDetail(kind="flow", message=f"flow {schedule.flow_id} does not exist", detail=detail)
    if schedule.version is None:
        return ErrorDetail(kind="flow", message=f"flow {schedule.flow_id} has no published version", detail=detail)
    message = f"flow {schedule.flow_id} has no version {schedule.version}"
    return ErrorDetail(kind="flow", message=message, detail=detail)


def _new_executions(
    runs: Sequence[tuple[Schedule, datetime]], found: Sequence[FoundConversation | None]
) -> Iterator[list[object]]:
    talks = [schedule.conversation for schedule, _ in runs]
    yield [scheduled_execution_id(schedule.id, tick) for schedule, tick in runs]
    yield [schedule.flow_id for schedule, _ in runs]
    yield [schedule.version for schedule, _ in runs]
    yield [one.id if one else None for one in found]
    yield [talk.channel if talk else None for talk in talks]
    yield [one.contact if one else None for one in found]
    yield [to_json(trigger(schedule, tick)) for schedule, tick in runs]


def trigger(schedule: Schedule, tick: datetime) -> dict[str, object]:
    """The trigger of the execution that `schedule` starts at `tick`: the input takes the place of the body."""
    headers = {"filas-schedule": schedule.id, "filas-scheduled-at": tick.astimezone(UTC).isoformat()}
    return {"webhook": {"body": schedule.input, "headers": headers, "queryParams": {}}}


def _advanced(runs: Sequence[ScheduleRun]) -> Iterator[list[object]]:
    last: list[tuple[datetime, UUID] | None] = []
    for run in runs:
        ids = {scheduled_execution_id(run.schedule.id, tick): tick for tick in run.ticks.run}
        newest = run.started[-1].id if run.started else None
        last.append((ids[newest], newest) if newest else None)
    yield [run.schedule.id for run in runs]
    yield [run.ticks.next_run_at for run in runs]
    yield [pair[0] if pair else None for pair in last]
    yield [pair[1] if pair else None for pair in last]
    yield [to_json(run.error) if run.error else None for run in runs]
    yield [bool(run.ticks.run) or run.error is not None for run in runs]


def _timing(schedule: Schedule) -> tuple[object, ...]:
    return tuple(getattr(schedule, name) for name in _TIMING)


def _columns(schedule: Schedule) -> tuple[object, ...]:
    talk = schedule.conversation
    return (
        schedule.id,
        schedule.flow_id,
        schedule.version,
        schedule.cron,
        schedule.timezone,
        schedule.at,
        schedule.starts_at,
        schedule.ends_at,
        schedule.enabled,
        to_json(schedule.input),
        talk.channel if talk else None,
        talk.contact if talk else None,
        schedule.misfire,
        schedule.misfire_grace_ms,
        schedule.catch_up_limit,
        None if schedule.every is None else to_json(schedule.every),
    )


def _schedule(row: asyncpg.Record) -> Schedule:
    """The schedule of a row. A row that cannot be decoded affects no other one: its `input` is null, and `last_error`
    has the reason."""
    columns = {name: row[name] for name in msgspec.structs.asdict(_EMPTY) if name in row}
    channel, contact = row["channel"], row["contact"]
    columns["conversation"] = ScheduleConversation(channel=channel, contact=contact) if channel is not None else None
    try:
        columns["input"] = from_json(row["input"])
        columns["every"] = None if row["every"] is None else msgspec.json.decode(row["every"], type=Interval)
        columns["last_error"] = error_detail(row["last_error"])
    except Exception as error:
        columns["input"], columns["every"] = None, None
        columns["last_error"] = ErrorDetail(kind=_UNREADABLE, message=f"the row cannot be decoded: {error!r}"[:1000])
    return Schedule(**columns)


_EMPTY: Final = Schedule(id="", flow_id="")
