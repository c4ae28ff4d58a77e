"""The open dashboards: each keeps the stream of the overview open and reads pages and figures, as a browser does."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp
import msgspec

DASHBOARDS: Final = 3
EVERY_S: Final = 5.0
"""How often each dashboard reads a page and the figures of the queues."""

ANSWER_S: Final = 15.0
SILENCE_S: Final = 35.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
"""As in the script of the pages: when a silent stream counts as lost, and when it is opened again."""

PAGES: Final = ("/", "/queues", "/executions", "/executions/{id}", "/analytics")

FrameKind = Literal["opened", "regions", "beat", "lost"]


@dataclass(frozen=True, slots=True)
class Frame:
    """What happened to the stream of a dashboard. `missing` is the store whose figures were marked as out of date."""

    dashboard: int
    at_s: float
    kind: FrameKind
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A page or figures that a dashboard has asked for at `asked_s` and got at `at_s` (seconds since the beginning).
    `answer` is the HTTP status or the name of the exception. `figures` have names such as `webhook completed`."""

    dashboard: int
    asked_s: float
    at_s: float
    path: str
    answer: str
    figures: Mapping[str, int] = field(default_factory=dict)


class _Regions(msgspec.Struct):
    """Only what is needed of the data of a frame."""

    missing: str | None = None


_regions: Final = msgspec.json.Decoder(_Regions)


class Dashboards:
    """Three dashboards of the `ingest admin` at `url`. `began` is when the run began (`time.monotonic`)."""

    def __init__(self, url: str, token: str, seed: int, began: float) -> None:
        self._url = url
        self._token = token
        self._began = began
        self._chance = random.Random(f"{seed} dashboards")
        self.frames: list[Frame] = []
        self.readings: list[Reading] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The dashboards are open as long as the block."""
        tasks = [
            asyncio.create_task(work(number))
            for number in range(1, DASHBOARDS + 1)
            for work in (self._stream, self._read)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [one for one in ended if isinstance(one, Exception)]
        if failed:
            raise failed[0]

    def _now(self) -> float:
        return time.monotonic() - self._began

    @asynccontextmanager
    async def signed_in(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session of a user. Its cookie is for browsers on a secure connection, so it is sent as a header. Raises
        ClientError and TimeoutError."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session,
            session.post(
                f"{self._url}/dashboard/sign-in",
                data={"token": self._token, "next": "/dashboard/"},
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status != 303:
                raise aiohttp.ClientError(f"the sign-in was answered with {answer.status}")
            cookie = "; ".join(f"{name}={value.value}" for name, value in answer.cookies.items())
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), headers={"Cookie": cookie}, timeout=timeout
        ) as session:
            yield session

    async def _stream(self, number: int) -> None:
        failures = 0
        while True:
            heard = len(self.frames)
            try:
                async with self.signed_in() as session:
                    await self._listen(session, number)
            except (aiohttp.ClientError, TimeoutError):
                pass
            failures = 1 if any(one.dashboard == number for one in self.frames[heard:]) else failures + 1
            self.frames.append(Frame(number, self._now(), "lost"))
            wait = min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S)
            await asyncio.sleep(wait * self._chance.uniform(0.5, 1.0))

    async def _listen(self, session: aiohttp.ClientSession, number: int) -> None:
        """Keeps one stream open until it ends or is silent."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_S, sock_read=SILENCE_S)
        headers = {"Accept": "text/event-stream"}
        address = f"{self._url}/dashboard/live?page=%2Fdashboard%2F"
        async with session.get(address, headers=headers, timeout=timeout, read_bufsize=1 << 20) as answer:
            if answer.status != 200:
                return
            self.frames.append(Frame(number, self._now(), "opened"))
            event = ""
            async for line in answer.content:
                name, _, value = line.rstrip().partition(b": ")
                if name == b"event":
                    event = value.decode()
                elif name.startswith(b"data") and event == "end":
                    return
                elif name.startswith(b"data") and event in ("regions", "beat"):
                    missing = _regions.decode(value).missing if event == "regions" else None
                    kind: FrameKind = "regions" if event == "regions" else "beat"
                    self.frames.append(Frame(number, self._now(), kind, missing))

    async def _read(self, number: int) -> None:
        """Reads a page and the figures in turn. Each dashboard begins at another page."""
        await asyncio.sleep(EVERY_S * number / DASHBOARDS)
        session_ends = asyncio.Event()
        turn = number
        while True:
            try:
                async with self.signed_in() as session:
                    session_ends.clear()
                    while not session_ends.is_set():
                        turn += 1
                        begun = time.monotonic()
                        if await self._page(session, number, PAGES[turn % len(PAGES)]) == "401":
                            session_ends.set()
                        await self._stats(session, number)
                        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - begun)))
            except (aiohttp.ClientError, TimeoutError) as error:
                now = self._now()
                self.readings.append(Reading(number, now, now, "/sign-in", type(error).__name__))
                await asyncio.sleep(EVERY_S)

    async def _page(self, session: aiohttp.ClientSession, number: int, page: str) -> str:
        if "{id}" in page:
            headers = {"Authorization": f"Bearer {self._token}"}
            found = await self._get(session, number, "/api/executions?limit=1", headers=headers)
            if not found:
                return ""
            page = page.replace("{id}", found["data"][0]["id"]) if found["data"] else "/executions"
        await self._get(session, number, f"/dashboard{page}")
        return self.readings[-1].answer

    async def _stats(self, session: aiohttp.ClientSession, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        await self._get(session, number, "/api/queue/stats", headers=headers)

    async def _get(
        self, session: aiohttp.ClientSession, number: int, path: str, *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Reads `path`, and keeps how it was answered. Returns the document of an API route that was answered."""
        asked = self._now()
        found: Any = None
        try:
            async with session.get(f"{self._url}{path}", headers=headers, allow_redirects=False) as answer:
                body = await answer.read()
                status = str(answer.status)
                if answer.status == 200 and path.startswith("/api/"):
                    found = msgspec.json.decode(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        figures = counts_of(found["data"]) if found and path == "/api/queue/stats" else {}
        self.readings.append(Reading(number, asked, self._now(), path, status, figures))
        return found


def counts_of(stats: Mapping[str, Any]) -> dict[str, int]:
    """The figures of an answer of `GET /api/queue/stats`: `QUEUE STATE` for each queue and state, `QUEUE` is `webhook`,
    `flow` or `notification`."""
    states = ("waiting", "active", "delayed", "completed", "failed")
    return {f"{queue} {state}": counts[state] for queue, counts in stats["queues"].items() for state in states}
