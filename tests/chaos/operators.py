"""The operators: they cancel, replay, pause and edit through the API while the processes work and fail.

Whatever the API answers is recorded. What was not done is repeated, as a person would.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import aiohttp

from tests.chaos.actions import Action, Kind
from tests.chaos.edits import Edits
from tests.chaos.flows import BROKEN, ORDER, PARENT
from tests.e2e.pipeline import Pipeline

NAME: Final = "chaos operators"
"""The name of their key, by which the audit has their changes."""

ANSWER_S: Final = 10.0
TRY_AGAIN_S: Final = 0.5
GIVE_UP_S: Final = 120.0
"""How long an action is repeated. The faults are over long before."""

CANCELLED: Final = ("running", "waiting-input", "waiting-timer", "waiting-callback", "retrying", "queued")
"""The statuses in which operators look for executions to cancel."""

REPLAYED: Final = (ORDER, PARENT, BROKEN)
"""The flows that are replayed. The replay of a question would take the contact's next message, which its sender means
for another one."""

QUEUES: Final = ("webhook", "flow", "notification")
PAUSE_S: Final = (1.0, 3.0)


class Operators:
    """All operators of a run. `edits` makes the definitions that they store."""

    def __init__(self, pipeline: Pipeline, seed: int, edits: Edits) -> None:
        self._pipeline = pipeline
        self._chance = random.Random(f"{seed} operators")
        self._edits = edits
        self._key = ""
        self.actions: list[Action] = []

    async def start(self) -> None:
        """Creates their key. Before the faults begin."""
        self._key = (await self._pipeline.api("POST", "/api/keys", {"name": NAME, "role": "admin"}))["key"]

    async def run(self, seconds: float) -> None:
        """Works for `seconds`. Returns when everything that was paused is resumed."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(until, (0.4, 1.6), self._cancel_or_replay))
            group.create_task(self._repeat(until, (4.0, 8.0), self._pause))
            group.create_task(self._repeat(until, (1.0, 4.0), self._edit))

    async def stored(self) -> dict[str, dict[str, Any]]:
        """The definitions that they have edited, as the API shows them, by subject. After the faults."""
        edited = {one.subject for one in self.actions if one.kind == "edit" and one.operation != "putSchedule"}
        return {subject: await self._pipeline.api("GET", f"/api/{subject}") for subject in sorted(edited)}

    async def _repeat(self, until: float, pause_s: tuple[float, float], act: Callable[[], Awaitable[None]]) -> None:
        while (wait_s := self._chance.uniform(*pause_s)) < until - time.monotonic():
            await asyncio.sleep(wait_s)
            await act()

    async def _cancel_or_replay(self) -> None:
        what = self._chance.choice((self._cancel, self._cancel, self._replay, self._replay_event, self._replay_letter))
        await what()

    async def _cancel(self) -> None:
        for status in self._chance.sample(CANCELLED, len(CANCELLED)):
            found = await self._list(f"/api/executions?status={status}&limit=50")
            if found:
                one = self._chance.choice(found)
                subject = f"executions/{one['id']}"
                await self._do("cancel", "POST", subject, "cancelExecution", command="/cancel", seen=one)
                return

    async def _replay(self) -> None:
        flow, status = self._chance.choice(REPLAYED), self._chance.choice(("succeeded", "failed", "cancelled"))
        found = await self._list(f"/api/executions?flowId={flow}&status={status}&limit=50")
        found = [one for one in found if one["eventId"] is not None and one["replayOf"] is None]
        if not found:
            return
        one = self._chance.choice(found)
        order = {
            "requestId": str(UUID(int=self._chance.getrandbits(128), version=4)),
            "version": self._chance.choice(("own", "newest")),
            "from": self._chance.choice(("start", "failed-step")) if status == "failed" else "start",
        }
        await self._do(
            "replay", "POST", f"executions/{one['id']}", "replayExecution", order, command="/replay", seen=one
        )

    async def _replay_event(self) -> None:
        found = await self._list("/api/events?status=processed&limit=50")
        found = [one for one in found if one["flowId"] in REPLAYED]
        if found:
            one = self._chance.choice(found)
            await self._do("replay-event", "POST", f"events/{one['id']}", "replayEvent", {}, command="/replay")

    async def _replay_letter(self) -> None:
        found = [one for one in await self._list("/api/dead-letters?limit=50") if one["replayedAt"] is None]
        if found:
            one = self._chance.choice(found)
            subject = f"dead-letters/{one['id']}"
            await self._do("replay-letter", "POST", subject, "replayDeadLetter", {}, command="/replay", seen=one)

    async def _pause(self) -> None:
        """Pauses a queue, looks at its jobs, and resumes it."""
        queue = self._chance.choice(QUEUES)
        await self._do("pause", "POST", f"queue/{queue}", "pauseQueue", command="/pause")
        await asyncio.sleep(self._chance.uniform(*PAUSE_S))
        looked_at = datetime.now(UTC)
        jobs = [
            {"id": one["id"], "state": state, "processedOn": one["processedOn"]}
            for state in ("active", "completed")
            for one in await self._list(f"/api/queue/{queue}/jobs?state={state}&limit=500")
        ]
        seen = {"at": looked_at, "jobs": jobs}
        await self._do("resume", "POST", f"queue/{queue}", "resumeQueue", command="/resume", seen=seen)

    async def _edit(self) -> None:
        for wait_s, operation, subject, definition in self._edits.next():
            await asyncio.sleep(wait_s)
            await self._do("edit", "PUT", subject, operation, definition)

    async def _do(
        self,
        kind: Kind,
        method: str,
        subject: str,
        operation: str,
        request: Any = None,
        *,
        command: str = "",
        seen: Any = None,
    ) -> None:
        """Repeats the call until it is done or refused. Records everything."""
        action = Action(kind, operation, subject, datetime.now(UTC), request, seen)
        self.actions.append(action)
        give_up = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up:
            status, data = await self._call(method, f"/api/{subject}{command}", request)
            if status.startswith("2"):
                action.answered_at, action.answer = datetime.now(UTC), data
                return
            action.others.append(status)
            if status.startswith("4"):
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _list(self, route: str) -> list[dict[str, Any]]:
        """The first page of a list. Empty if the API does not answer: the operator looks again later."""
        status, data = await self._call("GET", route)
        return data if status == "200" else []

    async def _call(self, method: str, route: str, body: Any = None) -> tuple[str, Any]:
        """The status of the answer or the name of the error, and the data."""
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}{route}"
        headers, timeout = {"Authorization": f"Bearer {self._key}"}, aiohttp.ClientTimeout(total=ANSWER_S)
        try:
            async with self._pipeline.session.request(
                method, url, json=body, headers=headers, timeout=timeout
            ) as answer:
                document = await answer.json(content_type=None)
                return str(answer.status), document.get("data", document)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return type(error).__name__, None
