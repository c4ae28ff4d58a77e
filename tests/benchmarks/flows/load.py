"""Load on the whole way from HTTP: senders that wait until their flow finishes, and senders that do not wait."""

import asyncio
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiohttp import web

from tests.e2e.pipeline import Pipeline, Receiver

POLL_S = 0.01
GIVE_UP_S = 30.0
WRK_SCRIPT = Path(__file__).with_name("without_waiting.lua")

# `offset 0` keeps the subquery apart, so that it runs once for each event through the index of events.
FINISHED = """
select e.event_id, e.status from unnest($1::uuid[]) as a (event_id)
    cross join lateral (
        select x.event_id, x.status, x.ended_at from executions x where x.event_id = a.event_id offset 0) e
where e.ended_at is not null"""


@dataclass
class Run:
    """What the senders observed: latencies in seconds, the times at which flows succeeded (monotonic, in seconds), and
    the outcomes of their flows."""

    latencies: list[float] = field(default_factory=list)
    finished_at: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    outstanding: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)

    def forget(self) -> None:
        """Forgets what was observed during the warm-up. Outstanding flows stay outstanding."""
        self.latencies.clear()
        self.finished_at.clear()
        self.outcomes.clear()


class FastReceiver(Receiver):
    """Responds as a CRM would, and keeps nothing. Each request to `last` is the last effect of a flow: a sender that
    waits for its message is notified, and its time is kept if no sender waits."""

    def __init__(self, run: Run, *, last: str, waited_for: bool) -> None:
        super().__init__()
        self._run = run
        self._last = last
        self._waited_for = waited_for

    def note(self, request: web.Request, body: bytes) -> None:
        if request.path != self._last:
            return
        if not self._waited_for:
            self._run.finished_at.append(time.monotonic())
        elif self._last == "/messages":
            arrived(self._run, json.loads(body)["to"], "succeeded")


def arrived(run: Run, key: str, outcome: str) -> None:
    """Ends the wait for `key`."""
    future = run.outstanding.pop(key, None)
    if future is not None and not future.done():
        future.set_result(outcome)


async def sender(pipeline: Pipeline, run: Run, number: int, stop_at: float, by_message: bool) -> None:
    """A closed loop: sends a webhook from a new contact, and waits until its flow has finished. A flow is finished when
    its message has arrived or, if it sends none, when its row is final."""
    turn = 0
    while time.monotonic() < stop_at:
        turn += 1
        contact = f"{number}-{turn}"
        began, future = time.monotonic(), asyncio.get_running_loop().create_future()
        if by_message:
            run.outstanding[contact] = future
        status, answer = await pipeline.webhook("bench", json.dumps({"from": contact, "text": "oi"}).encode())
        if status != 200:
            run.outcomes[f"HTTP {status}"] += 1
            continue
        if not by_message:
            run.outstanding[answer["eventId"]] = future
        try:
            outcome = await asyncio.wait_for(future, GIVE_UP_S)
            run.outcomes[outcome] += 1
            if outcome == "succeeded":
                run.finished_at.append(time.monotonic())
        except TimeoutError:
            run.outcomes[f"not within {GIVE_UP_S:.0f} s"] += 1
        run.latencies.append(time.monotonic() - began)


@asynccontextmanager
async def watching(run: Run, database: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[None]:
    """Polls Postgres for the outstanding flows that have ended."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if run.outstanding:
                for row in await database.fetch(FINISHED, list(run.outstanding)):
                    arrived(run, str(row["event_id"]), row["status"])

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


async def without_waiting(pipeline: Pipeline, connections: int, seconds: float) -> tuple[float, float]:
    """Posts from `connections` that send again as soon as they are answered, whatever the flows do. Returns the
    accepted webhooks per second and the p99 of their answers in ms. Needs wrk."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(WRK_SCRIPT)]
    process = await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{pipeline.port}/webhooks/bench", env=os.environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        printed = json.loads((await process.communicate())[0].decode().strip().splitlines()[-1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed["accepted"] / printed["duration"] * 1e6, printed["p99"] / 1000


def can_send_without_waiting() -> bool:
    """Whether the load generator is installed."""
    return shutil.which("wrk") is not None
