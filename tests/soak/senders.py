"""The load: contacts that send webhooks at a steady rate, and a reader of the API, with the time of each answer."""

import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.chaos.flows import ASK, BROKEN, CHANNELS, ORDER, PARENT
from tests.e2e.pipeline import ADMIN_TOKEN
from tests.soak.flows import REFUSED, SILENT, UNDELIVERED

CONTACTS: Final = 500
WEIGHTS: Final = {ORDER: 10, ASK: 4, PARENT: 2, BROKEN: 2, SILENT: 1, UNDELIVERED: 1}
ANSWER_S: Final = 30.0
READ_EVERY_S: Final = 1.0
READS: Final = (
    "/api/executions?limit=50",
    "/api/queue/stats",
    "/api/events?limit=50",
    "/api/analytics",
    "/api/conversations?limit=50",
    "/api/executions?status=failed&limit=50",
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted webhook: its flow, its event, a word that only its body has, and when it was accepted (monotonic)."""

    flow: str
    event_id: str
    word: str
    at: float


@dataclass(slots=True)
class Webhook:
    """A webhook that is due."""

    contact: str
    flow: str
    channel: str
    number: int


@dataclass(slots=True)
class Minute:
    """What was answered since the last sample. Times are in ms."""

    accept_ms: list[float] = field(default_factory=list)
    read_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


class Senders:
    """Sends to the public listener at `url`, `rate` webhooks per second. Webhooks of a contact follow one another.

    `starts` counts the accepted webhooks that start a flow, by flow. `recent` are the accepted webhooks of the last
    `keep_s` seconds.
    """

    def __init__(self, url: str, *, rate: float, keep_s: float, seed: int = 1) -> None:
        self._url = url
        self._rate = rate
        self._keep_s = keep_s
        self._chance = random.Random(seed)
        self._queues = {f"contact-{number}": asyncio.Queue[Webhook | None]() for number in range(CONTACTS)}
        self._visitors: set[asyncio.Task[None]] = set()
        self.starts = Counter[str]()
        self.accepted = 0
        self.due = 0
        self.recent = deque[Accepted]()
        self.minute = Minute()
        self.refused = Counter[str]()

    def take_minute(self) -> Minute:
        """What was answered since the last call."""
        found, self.minute = self.minute, Minute()
        self.refused += found.refused
        return found

    async def run(self, seconds: float) -> None:
        """Sends for `seconds`, and returns when each webhook was answered."""
        timeout, connector = aiohttp.ClientTimeout(total=ANSWER_S), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            contacts = [asyncio.create_task(self._contact(session, queue)) for queue in self._queues.values()]
            began = time.monotonic()
            while self.due < seconds * self._rate:
                await asyncio.sleep(max(0.0, began + self.due / self._rate - time.monotonic()))
                self._add(session)
            for queue in self._queues.values():
                queue.put_nowait(None)
            await asyncio.gather(*contacts, *self._visitors)

    def _add(self, session: aiohttp.ClientSession) -> None:
        [flow] = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if flow in (SILENT, UNDELIVERED):
            # A contact of its own, so that contacts and conversations come and go too.
            self.due += 1
            channel = CHANNELS[0] if flow == SILENT else REFUSED
            visitor = Webhook(f"visitor-{self.due}", flow, channel, self.due)
            task = asyncio.create_task(self._post(session, visitor, starts=True))
            self._visitors.add(task)
            task.add_done_callback(self._visitors.discard)
            return
        contact = self._chance.choice(list(self._queues))
        # The second webhook is the answer to the question.
        for _ in range(2 if flow == ASK else 1):
            self.due += 1
            channel = CHANNELS[int(contact.rpartition("-")[2]) % len(CHANNELS)]
            self._queues[contact].put_nowait(Webhook(contact, flow, channel, self.due))

    async def _contact(self, session: aiohttp.ClientSession, queue: "asyncio.Queue[Webhook | None]") -> None:
        asked = False
        while (one := await queue.get()) is not None:
            starts = not (one.flow == ASK and asked)
            asked = one.flow == ASK and starts
            await self._post(session, one, starts=starts)

    async def _post(self, session: aiohttp.ClientSession, one: Webhook, *, starts: bool) -> None:
        word = f"w{self._chance.getrandbits(64):016x}"
        body = {"id": f"{one.contact}:{one.number}", "n": str(one.number), "from": one.contact, "word": word}
        begun = time.monotonic()
        try:
            async with session.post(f"{self._url}/webhooks/{one.flow}-{one.channel}", json=body) as answer:
                document: Any = await answer.json(content_type=None)
                if answer.status != 200:
                    self.minute.refused[str(answer.status)] += 1
                    return
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.minute.refused[type(error).__name__] += 1
            return
        now = time.monotonic()
        self.minute.accept_ms.append((now - begun) * 1000)
        self.accepted += 1
        if starts:
            self.starts[one.flow] += 1
        self.recent.append(Accepted(one.flow, document["eventId"], word, now))
        while self.recent[0].at < now - self._keep_s:
            self.recent.popleft()


async def read_api(url: str, senders: Senders) -> None:
    """Reads the API at `url` as a dashboard does, one request a second, until it is cancelled."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
        number = 0
        while True:
            await asyncio.sleep(READ_EVERY_S)
            number += 1
            begun = time.monotonic()
            try:
                async with session.get(f"{url}{READS[number % len(READS)]}") as answer:
                    await answer.read()
                    if answer.status == 200:
                        senders.minute.read_ms.append((time.monotonic() - begun) * 1000)
                    else:
                        senders.minute.refused[f"API {answer.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                senders.minute.refused[f"API {type(error).__name__}"] += 1
