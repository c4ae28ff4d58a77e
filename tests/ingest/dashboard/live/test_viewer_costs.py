"""500 viewers use at most 5 % of a core, and reading is not part of that: the hub reads once for all of them."""

import asyncio
import resource
from collections.abc import Iterator, Mapping

import pytest

from ingest.dashboard.live.hub import LiveFeed, LiveHub
from ingest.dashboard.live.snapshot import Snapshot
from tests.cpu_costs import cpu_s
from tests.ingest.dashboard.live.feeds import Clock, PausesPart
from tests.ingest.dashboard.live.streaming import Readers, serving
from tests.waiting import eventually

VIEWERS = 500
SECONDS = 4
SHARE = 0.05
ROW = '<tr id="queue-%d"><td class="num">%d</td><td><span class="state state-active">active</span></td></tr>'


async def changing(snapshot: Snapshot) -> Mapping[str, str]:
    """The regions of a page of 14 kB, all of which change every second."""
    number = int((snapshot.pauses.value or ["queue-0"])[0].removeprefix("queue-"))
    return {f"region-{part}": "".join(ROW % (row, number) for row in range(20)) for part in range(7)}


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process open enough sockets: both ends of every stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_500_viewers_use_at_most_a_twentieth_of_a_core() -> None:
    """The measured thread renders the page and writes to all sockets; another thread reads them."""
    part = PausesPart(clock := Clock())
    with asyncio.Runner() as runner:
        hub = LiveHub([part.reader], clock=clock)
        server = serving(hub, LiveFeed("page", changing))
        readers = Readers(runner.run(server.__aenter__()), VIEWERS)

        async def everyone_watches() -> None:
            await eventually(lambda: hub.viewers == VIEWERS, 60)

        async def second() -> None:
            clock.now += 1
            expected = readers.events + VIEWERS
            await hub.tick()
            await eventually(lambda: readers.events >= expected, 60)

        async def seconds() -> None:
            for _ in range(SECONDS):
                await second()

        try:
            runner.run(everyone_watches())
            runner.run(second())
            used_s = cpu_s(lambda: runner.run(seconds()), SECONDS * SHARE)
        finally:
            readers.close()
            runner.run(server.__aexit__(None, None, None))
    assert used_s / SECONDS <= SHARE, f"{100 * used_s / SECONDS:.1f} % of a core"
