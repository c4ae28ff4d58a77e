"""The contacts: each sends its webhooks one after the other, as a provider does, and keeps what it was answered."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.chaos.flows import ASK, BROKEN, CHANNELS, ORDER, PARENT, SURVEY, SURVEY_S

CONTACTS: Final = 500
WEIGHTS: Final = {ORDER: 10, ASK: 6, PARENT: 2, BROKEN: 2, SURVEY: 1}
LATE_S: Final = 2.0
"""How long a contact that answers late thinks."""

SILENT_S: Final = SURVEY_S + 2.0
"""How long a contact that does not answer sends nothing."""

TRY_AGAIN_S: Final = 0.5
ANSWER_S: Final = 15.0
"""How long a sender waits for an answer."""

GIVE_UP_S: Final = 120.0
"""How long a sender repeats a webhook that is not accepted. The faults are over long before."""


@dataclass(slots=True)
class Sent:
    """A webhook: the `number` that its contact gave it, and the answer that accepted it. `tries` has each other answer,
    with its time in seconds since the beginning; `event_id` is None if none was accepted. The accepted request began at
    `begun_s`. `after_s`: how long the contact waits before it sends it."""

    contact: str
    number: int
    flow: str
    channel: str
    after_s: float = 0.0
    event_id: str | None = None
    accepted_s: float = 0.0
    begun_s: float = 0.0
    tries: list[tuple[float, str]] = field(default_factory=list)

    @property
    def requests(self) -> list[float]:
        """When each request began."""
        begun = [at_s for at_s, _ in self.tries]
        return begun if self.event_id is None else [*begun, self.begun_s]

    @property
    def name(self) -> str:
        """The text that identifies the webhook everywhere."""
        return f"{self.contact}:{self.number}"


class Senders:
    """All contacts. `url` is the address of the public listener, `rate` is in webhooks per second."""

    def __init__(self, url: str, seed: int, *, rate: float, contacts: int = CONTACTS) -> None:
        self._url = url
        self._chance = random.Random(f"{seed} senders")
        self._rate = rate
        self._queues = {f"contact-{number}": asyncio.Queue[Sent | None]() for number in range(contacts)}
        self._numbers = Counter[str]()
        self._after_s: dict[str, float] = {}
        self.sent: list[Sent] = []
        self.began = time.monotonic()

    async def run(self, seconds: float) -> None:
        """Sends for `seconds`, and returns when each webhook was accepted or given up."""
        self.began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            for queue in self._queues.values():
                group.create_task(self._contact(session, queue))
            while len(self.sent) < seconds * self._rate:
                due = self.began + len(self.sent) / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self._add()
            for queue in self._queues.values():
                queue.put_nowait(None)

    def _add(self) -> None:
        contact = self._chance.choice(list(self._queues))
        [flow] = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self._put(contact, flow)
        if flow == ASK:  # the answer is the contact's next message
            self._put(contact, flow)
        elif flow == SURVEY:
            answers = self._chance.random() < 0.5
            self._after_s[contact] = LATE_S if answers else SILENT_S
            if answers:
                self._put(contact, flow)

    def _put(self, contact: str, flow: str) -> None:
        self._numbers[contact] += 1
        channel = CHANNELS[int(contact.rpartition("-")[2]) % len(CHANNELS)]
        one = Sent(contact, self._numbers[contact], flow, channel, self._after_s.pop(contact, 0.0))
        self.sent.append(one)
        self._queues[contact].put_nowait(one)

    async def _contact(self, session: aiohttp.ClientSession, queue: "asyncio.Queue[Sent | None]") -> None:
        while (one := await queue.get()) is not None:
            await asyncio.sleep(one.after_s)
            give_up = time.monotonic() + GIVE_UP_S
            while not await self._post(session, one):
                if time.monotonic() > give_up:
                    break
                await asyncio.sleep(TRY_AGAIN_S)

    async def _post(self, session: aiohttp.ClientSession, one: Sent) -> bool:
        body = {"id": one.name, "n": one.name, "from": one.contact}
        begun = time.monotonic() - self.began
        try:
            async with session.post(f"{self._url}/webhooks/{one.flow}-{one.channel}", json=body) as answer:
                document: Any = await answer.json(content_type=None)
                if answer.status == 200:
                    one.event_id, one.begun_s = document["eventId"], begun
                    one.accepted_s = time.monotonic() - self.began
                    return True
                one.tries.append((begun, str(answer.status)))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            one.tries.append((begun, type(error).__name__))
        return False
