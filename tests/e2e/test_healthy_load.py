"""While a pipeline works as it should, the doctor finds nothing, however often it is asked."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from filas_local.servers import RedisServer
from tests.e2e.operating import Operator, operating
from tests.long_form import by_form

SECONDS = by_form(12, 600)
TALKS = 4
"""How many contacts talk at a time."""

PAUSE_S = 0.25
"""Between two contacts of a talk, so that two cores are not busy all the time."""

EXAMINED_EVERY_S = 1.0


class Talks:
    """Contacts who each send a message that calls and answers, one that sleeps, and a question with its answer."""

    def __init__(self, seen: Operator) -> None:
        self._seen = seen
        self._until = time.monotonic() + SECONDS
        self.sent = 0

    def are_over(self) -> bool:
        """Whether the time has passed."""
        return time.monotonic() > self._until

    async def talk(self, number: int) -> None:
        """One contact after the other, as soon as each is answered."""
        turn = 0
        while not self.are_over():
            turn += 1
            contact = f"+55{number:03}{turn:06}"
            for flow in ("work", "sleep", "work"):
                await self._seen.say(flow, contact, f"oi {turn}")
            asking = f"+56{number:03}{turn:06}"
            question = await self._seen.say("ask", asking)
            await self._seen.execution(question, "waiting-input")
            await self._seen.say("ask", asking, "Ana")
            self.sent += 5
            await asyncio.sleep(PAUSE_S)


@pytest.mark.timeout(SECONDS + 180)
async def test_ten_minutes_of_healthy_load_give_no_finding(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """Twelve seconds in the short form. The doctor is asked every second."""
    found: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    async with operating(own_redis, postgres_dsn, tmp_path) as seen:
        talks = Talks(seen)

        async def examine() -> None:
            while not talks.are_over():
                findings = await seen.findings()
                found.update(findings)
                times.update([*findings, "examined"])
                await asyncio.sleep(EXAMINED_EVERY_S)

        async with asyncio.TaskGroup() as group:
            group.create_task(examine())
            for number in range(TALKS):
                group.create_task(talks.talk(number))
        assert found == {}, f"{dict(times)}: {json.dumps(found, indent=1)}"
        assert times["examined"] > SECONDS / 4
        assert talks.sent > 5 * TALKS
        await seen.until_done()
