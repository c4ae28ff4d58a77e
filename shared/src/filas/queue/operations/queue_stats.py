"""The counts of a queue and its single jobs. The API and `/metrics` show the same numbers."""

import base64
import contextlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from filas.contract.policies import COMPLETED_RETENTION_S, FAILED_RETENTION_S, QUEUES, QueuePolicy
from filas.errors import InvalidCursor, JobDecodeError
from filas.models.dead_letters import JobState
from filas.models.record import Page
from filas.observability import metrics
from filas.queue.finished_job import FinishedJob
from filas.queue.job_format import decode_envelope, raw_message
from filas.queue.producer import PRIORITY_STEP_MS
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.redis_clock import read_time_s
from filas.queue.redis_client.scripts import load
from filas.queue.worker_presence import read_load

MAX_PAGE: Final = 500
PAGE_BYTES: Final = 2**20
"""How many bytes of payloads a page has. It has at least one job."""

MAX_OFFSET: Final = 2**53
_INSPECTED: Final = 6
"""The number of values for each job in the reply of `inspect.lua`."""

_FINISHED: tuple[JobState, ...] = ("completed", "failed")
_ring_decoder = msgspec.json.Decoder(FinishedJob)


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts of a queue at one moment.

    | field                                  | jobs that it counts                                                     |
    |----------------------------------------|-------------------------------------------------------------------------|
    | `waiting`                              | due and not claimed; also those after a group head                      |
    | `delayed`                              | due later                                                               |
    | `active`                               | claimed under a live lease                                              |
    | `completed`, `failed`                  | finished within retention (24 h, 7 days; `clean` shortens it)           |
    | `retries`, `dead_letters`, `lost_leases` | since Redis last lost its data                                        |
    | `dead_letters_waiting`                 | dead letters that are not in Postgres yet                               |

    `oldest_waiting_ms` is how long the oldest waiting job has been due. A job that a stock arq worker runs counts as
    waiting, and its end is not counted.
    """

    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    retries: int
    dead_letters: int
    dead_letters_waiting: int
    lost_leases: int
    oldest_waiting_ms: int


class JobInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One job. Times are Unix ms. `data` is its message, `error` the reason of its failure or of its last attempt's.

    `leaseUntil` is when the lease of an active job ends; its worker renews it while the job runs.
    """

    id: str
    name: str
    state: JobState
    attempts_made: int = 0
    enqueued_on: int | None = None
    due_on: int | None = None
    processed_on: int | None = None
    lease_until: int | None = None
    finished_on: int | None = None
    group: str | None = None
    data: Any = None
    error: Any = None


class QueueStats:
    """Reads the queues of one Redis. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def snapshot(self, policy: QueuePolicy) -> QueueCounts:
        """Returns the counts of a queue, read in one call."""
        keys = self._redis.keys(policy.name).of("active", "waiting", "completed", "failed", "counts", "dead")
        args = [COMPLETED_RETENTION_S * 1000, FAILED_RETENTION_S * 1000, 2 * PRIORITY_STEP_MS, PRIORITY_STEP_MS, 0]
        answer = await self._redis.run(load("stats"), keys, args)
        waiting, active, delayed, completed, failed, retries, dead, dead_waiting, lost, oldest = answer
        return QueueCounts(
            waiting=waiting,
            active=active,
            delayed=delayed,
            completed=completed,
            failed=failed,
            retries=retries,
            dead_letters=dead,
            dead_letters_waiting=dead_waiting,
            lost_leases=lost,
            oldest_waiting_ms=oldest,
        )

    async def publish(self, policies: Sequence[QueuePolicy] = QUEUES) -> None:
        """Sets the gauges of `/metrics` from the counts of the queues."""
        for policy in policies:
            counts = await self.snapshot(policy)
            for state in ("waiting", "active", "delayed", "failed"):
                metrics.QUEUE_JOBS.labels(policy.name, state).set(getattr(counts, state))
            metrics.QUEUE_OLDEST_WAITING.labels(policy.name).set(counts.oldest_waiting_ms / 1000)
            load_now = await read_load(self._redis, policy)
            metrics.WORKERS.labels(policy.name).set(load_now.workers)
            metrics.WORKER_SLOTS.labels(policy.name, "running").set(load_now.running)
            metrics.WORKER_SLOTS.labels(policy.name, "free").set(max(load_now.slots - load_now.running, 0))

    async def active_jobs(self, policy: QueuePolicy, limit: int = 20) -> list[JobInfo]:
        """Returns up to `limit` active jobs, in the order in which their leases end."""
        page = await self.jobs(policy, "active", limit)
        return [job for job in page.items if isinstance(job, JobInfo)]

    async def jobs(self, policy: QueuePolicy, state: JobState, limit: int = 50, cursor: str | None = None) -> Page:
        """Returns a page of JobInfo. Raises InvalidCursor.

        A page of large jobs has fewer than `limit` (PAGE_BYTES). Waiting and delayed jobs are in the order in which
        they are due. Jobs after their group head are counted but not listed. Finished jobs come from the ring, newest
        first.
        """
        limit = max(1, min(limit, MAX_PAGE))
        start = _offset(cursor)
        names = self._redis.keys(policy.name)
        if state in _FINISHED:
            raw = await self._redis.command("LRANGE", names.named(f"ring:{state}"), start, start + limit)
            items = [_finished(_ring_decoder.decode(one), state) for one in raw[:limit]]
            return Page(items=items, next_cursor=_cursor(start + limit) if len(raw) > limit else None)
        now = await read_time_s(self._redis) * 1000
        key, low, high = {
            "active": (names.named("active"), f"({now}", "+inf"),
            "waiting": (policy.name, "-inf", f"{now}"),
            "delayed": (policy.name, f"({now}", "+inf"),
        }[state]
        command = ("ZRANGEBYSCORE", key, low, high, "LIMIT", start, limit + 1)
        found: list[bytes] = await self._redis.command(*command)
        infos = await self._inspect(policy, found[:limit])
        more = len(found) > len(infos)
        # A claimed job is in the queue's sorted set too, with the end of its lease as score.
        items = [info for info in infos if info is not None and info.state == state]
        return Page(items=items, next_cursor=_cursor(start + len(infos)) if more else None)

    async def job(self, policy: QueuePolicy, job_id: str) -> JobInfo | None:
        """Returns one job of the queue, or None. A finished job is found while its record is in the ring."""
        raw_id = job_id.encode("utf-8", "backslashreplace")
        (info,) = await self._inspect(policy, [raw_id])
        if info is not None:
            return info
        for state in _FINISHED:
            ring = self._redis.keys(policy.name).named(f"ring:{state}")
            for raw in await self._redis.command("LRANGE", ring, 0, -1):
                record = _ring_decoder.decode(raw)
                if record.id == job_id:
                    return _finished(record, state)
        return None

    async def some_jobs(self, policy: QueuePolicy, job_ids: Sequence[str]) -> list[JobInfo]:
        """Returns those of these jobs that the queue still has, in any state. The records of finished jobs are read
        once for all of them."""
        infos = await self._inspect(policy, [one.encode("utf-8", "backslashreplace") for one in job_ids])
        found = {info.id: info for info in infos if info is not None}
        missing = set(job_ids) - set(found)
        for state in _FINISHED if missing else ():
            ring = self._redis.keys(policy.name).named(f"ring:{state}")
            for raw in await self._redis.command("LRANGE", ring, 0, -1):
                record = _ring_decoder.decode(raw)
                if record.id in missing:
                    found[record.id] = _finished(record, state)
        return [found[one] for one in job_ids if one in found]

    async def _inspect(self, policy: QueuePolicy, raw_ids: list[bytes]) -> list[JobInfo | None]:
        """Returns the first of these jobs: as many as have PAGE_BYTES, at least one. None for one that is not there."""
        if not raw_ids:
            return []
        keys = self._redis.keys(policy.name).of("grouped")
        now, *rows = await self._redis.run(load("inspect"), keys, [PAGE_BYTES, *raw_ids])
        return [
            _live(raw_id, rows[_INSPECTED * at : _INSPECTED * (at + 1)], float(now))
            for at, raw_id in enumerate(raw_ids[: len(rows) // _INSPECTED])
        ]


def _live(raw_id: bytes, row: list[Any], now: float) -> JobInfo | None:
    """Returns the job of a row of `inspect.lua`, or None if the job is not in the queue."""
    payload, token, used, score, position, last_error = row
    if payload is None or (score is None and position is None):
        return None
    name, data, enqueued = "<unknown>", None, None
    with contextlib.suppress(JobDecodeError, msgspec.DecodeError, UnicodeDecodeError):
        envelope = decode_envelope(payload)
        name, enqueued = envelope.f, envelope.et
        data = msgspec.json.decode(raw_message(envelope) or b"null")
    due = float(score) if score is not None else now
    state: JobState = "active" if token else "delayed" if due > now else "waiting"
    return JobInfo(
        id=_text(raw_id),
        name=name,
        state=state,
        attempts_made=int(used or 0) + (1 if token else 0),
        enqueued_on=enqueued,
        due_on=int(due) if state == "delayed" else None,
        processed_on=_claimed_ms(token) if token else None,
        lease_until=int(due) if state == "active" else None,
        group=_text(position.split(b"|", 1)[1]) if position else None,
        data=data,
        error=msgspec.json.decode(last_error).get("error") if last_error else None,
    )


def _claimed_ms(token: bytes) -> int | None:
    """Returns when the job was claimed, the last part of its token. The token of a stock worker has no time."""
    last = token.rpartition(b"-")[2]
    return int(last) if last.isdigit() and len(last) > 10 else None


def _finished(record: FinishedJob, state: JobState) -> JobInfo:
    return JobInfo(
        id=record.id,
        name=record.name,
        state=state,
        attempts_made=record.attempts_made,
        enqueued_on=record.enqueued_on,
        processed_on=record.processed_on,
        finished_on=record.finished_on,
        group=record.group,
        error=record.error,
    )


def _text(raw: bytes) -> str:
    """Returns bytes as text. Bytes that are not UTF-8 become escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset(cursor: str | None) -> int:
    """Returns the offset that a cursor contains. Raises InvalidCursor."""
    if cursor is None:
        return 0
    try:
        offset = int(base64.urlsafe_b64decode(cursor))
    except ValueError:
        offset = -1
    if not 0 <= offset < MAX_OFFSET:
        raise InvalidCursor("the cursor is not one of this list")
    return offset
