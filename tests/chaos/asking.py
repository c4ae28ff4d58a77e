"""Asks at random moments what unfinished work waits for (`filas why`), with its state just before and just after."""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import aiohttp
import asyncpg
import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from tests.chaos.dashboards import ANSWER_S
from tests.chaos.redis_stores import RedisStore
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline
from tests.shared.cli.running import filas

EVERY_S: Final = 10.0
STATE_S: Final = 2.0
"""How long a store may take to state the state of a row."""

COMMAND_SHARE: Final = 0.1
"""How often the command line is asked instead of the API. It takes a second of a core."""

Kind = Literal["execution", "event", "notification"]
JobState = Literal["running", "due", "later", "behind", "gone", "unknown"]

PICK: Final[Mapping[Kind, str]] = {
    "execution": "select id from executions where ended_at is null order by random() limit 1",
    "event": """
select id from (
    (select id from events where status = 'received' limit 50)
    union (select event_id from executions where ended_at is null and event_id is not null limit 50)
) found order by random() limit 1""",
    "notification": "select id from notifications where ended_at is null order by random() limit 1",
}
ROW: Final[Mapping[Kind, str]] = {
    "execution": """
select status, turn, fence, wake_at, resumed_id is not null as resumed,
    status = 'waiting-callback' and awaits_message is not null as awaits_message
from executions where id = $1""",
    "event": """
select e.status, e.replay, x.id as execution from events e left join lateral (
    select id from executions where event_id = e.id order by queued_at desc, id desc limit 1) x on true
where e.id = $1""",
    "notification": "select status from notifications where id = $1",
}
QUEUE: Final[Mapping[Kind, QueuePolicy]] = {"execution": FLOWS, "event": WEBHOOKS, "notification": NOTIFICATIONS}


@dataclass(frozen=True, slots=True)
class State:
    """The state of a row and its job. `execution` is that of an event's execution; `is_paused` is about its queue.
    `wake_at` is the time in the form of the API."""

    kind: Kind
    status: str
    job: JobState = "unknown"
    number: int = 0
    wake_at: str | None = None
    resumed: bool = False
    awaits_message: bool = False
    is_paused: bool = False
    execution: "State | None" = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a row at `asked_s`, answered at `at_s` with a status (or the name of an exception). `before` and
    `after` are None if Postgres did not state them."""

    kind: Kind
    id: str
    asked_s: float
    at_s: float
    before: State | None
    after: State | None
    answer: str
    cause: str = ""
    stuck: bool = False
    until: str | None = None
    sentence: str = ""


class Asker:
    """Asks the pipeline as long as `run` runs; `began` is when the run began (`time.monotonic`). The states are read
    from the stores directly."""

    def __init__(self, pipeline: Pipeline, dsn: str, redis_store: RedisStore, seed: int, began: float) -> None:
        self._pipeline = pipeline
        self._dsn = dsn
        self._redis_store = redis_store
        self._began = began
        self._chance = random.Random(f"{seed} why")
        self._last: dict[Kind, Any] = {}
        self.questions: list[Question] = []

    async def run(self) -> None:
        """Asks every EVERY_S on average, until it is cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.0, 2 * EVERY_S))
            await self.ask(self._chance.choice(tuple(PICK)), by_command=self._chance.random() < COMMAND_SHARE)

    async def ask(self, kind: Kind, *, by_command: bool) -> None:
        """Asks about one row, if there is one."""
        row_id = await self._pick(kind) or self._last.get(kind)
        if row_id is None:
            return
        self._last[kind] = row_id
        before = await self._state(kind, row_id)
        asked = time.monotonic() - self._began
        answer, said = await (self._command(row_id) if by_command else self._route(kind, row_id))
        at = time.monotonic() - self._began
        self.questions.append(
            Question(
                kind=kind,
                id=str(row_id),
                asked_s=asked,
                at_s=at,
                before=before,
                after=await self._state(kind, row_id),
                answer=answer,
                cause=said.get("cause", ""),
                stuck=said.get("stuck", False),
                until=(said.get("evidence") or {}).get("until"),
                sentence=said.get("sentence", ""),
            )
        )

    async def _route(self, kind: Kind, row_id: Any) -> tuple[str, Mapping[str, Any]]:
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}/api/doctor?{kind}={row_id}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        try:
            async with self._pipeline.session.get(url, headers=headers, timeout=timeout) as answer:
                document = msgspec.json.decode(await answer.read())
                return str(answer.status), document.get("data") or {}
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__, {}

    async def _command(self, row_id: Any) -> tuple[str, Mapping[str, Any]]:
        """`filas why ID`. Its errors are those of the API: exit code 1 and a text."""
        environ = {
            "FILAS_URL": f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}",
            "FILAS_ADMIN_TOKEN": ADMIN_TOKEN,
        }
        run = await filas("why", str(row_id), "--json", environ=environ)
        return ("200", run.json) if run.code == 0 else (f"error: {run.err.strip()[-200:]}", {})

    async def _pick(self, kind: Kind) -> Any:
        return await self._fetch(lambda connection: connection.fetchval(PICK[kind]))

    async def _state(self, kind: Kind, row_id: Any) -> State | None:
        found: State | None = await self._fetch(lambda connection: self._read(connection, kind, row_id))
        return found

    async def _fetch(self, read: Any) -> Any:
        """None if Postgres does not answer in time."""
        try:
            async with asyncio.timeout(STATE_S):
                connection = await asyncpg.connect(self._dsn)
                try:
                    return await read(connection)
                finally:
                    connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None

    async def _read(self, connection: Any, kind: Kind, row_id: Any) -> State | None:
        row = await connection.fetchrow(ROW[kind], row_id)
        if row is None:
            return None
        paused = {one["queue"] for one in await connection.fetch("select queue from queue_pauses")}
        key = {
            "execution": lambda: f"{row_id}:{row['turn']}",
            "event": lambda: f"{row_id}:replay-{row['replay']}" if row["replay"] else str(row_id),
            "notification": lambda: str(row_id),
        }[kind]()
        more: dict[str, Any] = {"is_paused": QUEUE[kind].name in paused, "job": await self._job(QUEUE[kind], key)}
        if kind == "execution":
            wake_at: datetime | None = row["wake_at"]
            more |= {
                "number": row["fence"],
                "wake_at": None if wake_at is None else wake_at.astimezone(UTC).isoformat(),
                "resumed": row["resumed"],
                "awaits_message": row["awaits_message"],
            }
        elif kind == "event" and row["execution"] is not None:
            more["execution"] = await self._read(connection, "execution", row["execution"])
        return State(kind, row["status"], **more)

    async def _job(self, policy: QueuePolicy, key: str) -> JobState:
        """Where the job is. A job is in the sorted set of its queue from its enqueueing until it ends, or behind the
        first job of its group."""
        job_id = policy.job_id(key)
        server = await asyncio.to_thread(lambda: self._redis_store.current)
        client = redis.asyncio.Redis(
            host=server.host, port=server.port, socket_timeout=STATE_S / 2, socket_connect_timeout=STATE_S / 2
        )
        try:
            async with client.pipeline(transaction=True) as calls:
                calls.get(f"arq:in-progress:{job_id}")
                calls.zscore(policy.name, job_id)
                calls.hexists(f"{{{policy.name}}}:grouped", job_id)
                calls.exists(f"arq:job:{job_id}")
                running, score, grouped, exists = await calls.execute()
        except (OSError, RedisError, TimeoutError):
            return "unknown"
        finally:
            with contextlib.suppress(OSError, RedisError, TimeoutError):
                await client.aclose()
        if not exists:
            return "gone"
        if running:
            return "running"
        if score is not None:
            return "later" if score > time.time() * 1000 else "due"
        return "behind" if grouped else "gone"
