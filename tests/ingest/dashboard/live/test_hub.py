"""The hub reads and renders once for all viewers, and no viewer delays another."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import pytest

from filas.errors import StoreUnavailable
from ingest.dashboard.live.hub import MAX_OF_OWNER, MAX_VIEWERS, LiveFeed, LiveHub, TooManyViewers
from ingest.dashboard.live.part_readers import PartReader
from ingest.dashboard.live.snapshot import Snapshot
from tests.ingest.dashboard.live.feeds import WAIT_S, Clock, Page, PausesPart, settled, ticked
from tests.waiting import eventually


async def test_one_reading_and_one_rendering_serve_all_viewers() -> None:
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    viewers = [hub.join(page.feed, f"session-{number}") for number in range(100)]
    for tick in range(1, 4):
        messages = await ticked(hub, *viewers)
        assert {message.regions["state"] for message in messages if message} == {f"<p>queue-{tick}</p>"}
        assert (part.readings, page.rendered) == (tick, tick)
        clock.now += 1
    assert len({id(message) for message in messages}) == 1, "all viewers send the same bytes"


async def test_only_regions_that_changed_are_sent() -> None:
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    viewer = hub.join(page.feed, "session")
    [first] = await ticked(hub, viewer)
    assert first is not None
    assert set(first.regions) == {"title", "state"}
    clock.now += 1
    [second] = await ticked(hub, viewer)
    assert second is not None
    assert set(second.regions) == {"state"}
    # Nothing is due, so nothing has changed and nothing is sent.
    clock.now += 0.6
    await settled()
    await hub.tick()
    await settled()
    assert await viewer.next(0) is None


async def test_a_viewer_who_comes_later_gets_every_region_at_once() -> None:
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    await ticked(hub, hub.join(page.feed, "a"))
    clock.now += 1
    await settled()
    late = hub.join(page.feed, "b")
    message = await late.next(0)
    assert message is not None
    assert message.regions == {"title": "<h1>Queues</h1>", "state": "<p>queue-1</p>"}


async def test_a_rendering_older_than_the_page_is_not_sent() -> None:
    """It would take back what the page shows, such as the effect of an action. The next rendering is sent whole."""
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    [first] = await ticked(hub, early := hub.join(page.feed, "a"))
    assert first is not None
    await eventually(lambda: time.time_ns() // 1_000_000 > first.at)
    late = hub.join(page.feed, "b", since=2**50)  # the clock of the process that made the page is ahead
    assert await late.next(0) is None
    clock.now += 1
    [changed, whole] = await ticked(hub, early, late)
    assert changed is not None
    assert whole is not None
    assert (set(changed.regions), set(whole.regions)) == ({"state"}, {"title", "state"})
    clock.now += 1
    [changed] = await ticked(hub, late)
    assert changed is not None
    assert set(changed.regions) == {"state"}


async def test_a_slow_viewer_gets_the_newest_of_every_region_and_delays_no_one() -> None:
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    slow, quick = hub.join(page.feed, "slow"), hub.join(page.feed, "quick")
    for tick in range(1, 6):
        [message] = await ticked(hub, quick)
        assert message is not None
        assert message.regions["state"] == f"<p>queue-{tick}</p>"
        clock.now += 1
    newest = await slow.next(0)
    assert newest is not None
    # The title was in the first message only, which was never sent.
    assert newest.regions == {"title": "<h1>Queues</h1>", "state": "<p>queue-5</p>"}
    assert await slow.next(0) is None, "the slot has one message"


async def test_nothing_is_read_or_rendered_while_no_one_looks() -> None:
    part, page = PausesPart(), Page()
    hub = LiveHub([part.reader])
    running = asyncio.create_task(hub.run())
    try:
        await settled()
        assert part.readings == 0
        viewer = hub.join(page.feed, "session")
        assert await viewer.next(WAIT_S) is not None
        hub.leave(page.feed, viewer)
        hub.leave(page.feed, viewer)
        assert hub.viewers == 0
        await settled()
        assert "live-page" not in {task.get_name() for task in asyncio.all_tasks()}
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_streams_are_limited_in_total_and_for_each_session() -> None:
    hub, page = LiveHub([]), Page()
    for _ in range(MAX_OF_OWNER):
        last = hub.join(page.feed, "greedy")
    with pytest.raises(TooManyViewers):
        hub.join(page.feed, "greedy")
    hub.leave(page.feed, last)
    hub.join(page.feed, "greedy")
    for number in range(MAX_VIEWERS - MAX_OF_OWNER):
        hub.join(page.feed, f"session-{number}")
    with pytest.raises(TooManyViewers):
        hub.join(page.feed, "another")
    hub.close()


async def test_the_end_of_the_process_ends_every_stream() -> None:
    hub, page = LiveHub([]), Page()
    viewer = hub.join(page.feed, "session")
    hub.close()
    assert await viewer.next(WAIT_S) is None
    assert viewer.end == "closing"
    with pytest.raises(TooManyViewers):
        hub.join(page.feed, "session")


async def test_a_part_that_cannot_be_read_keeps_its_figures_and_states_since_when() -> None:
    answers: list[list[str] | Exception] = [["flow"], StoreUnavailable("postgres", "frozen"), KeyError("a bug"), []]

    async def read() -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    other = PausesPart(clock := Clock())
    reader = PartReader("circuits", "redis", 1.0, read, clock)
    hub = LiveHub([reader, other.reader], clock=clock)
    seen = []
    for _ in range(4):
        seen.append((await hub.tick()).circuits)
        clock.now += 1
    values: list[object] = [one.value for one in seen]
    assert values == [["flow"], ["flow"], ["flow"], []]
    assert [one.missing for one in seen] == [None, "postgres", "redis", None]
    assert seen[0].read_at == seen[1].read_at == seen[2].read_at
    assert other.readings == 4


async def test_a_part_that_does_not_answer_delays_only_itself() -> None:
    """The next snapshots come without it. It is not read a second time meanwhile."""
    asked, answer = 0, asyncio.Event()

    async def read() -> list[str]:
        nonlocal asked
        asked += 1
        await answer.wait()
        return ["flow"]

    part = PausesPart(clock := Clock())
    reader = PartReader("channels", "postgres", 1.0, read, clock)
    hub = LiveHub([reader, part.reader], clock=clock)
    for _ in range(3):
        snapshot = await hub.tick()
        assert snapshot.channels.read_at is None
        clock.now += 1
    assert (asked, part.readings) == (1, 3)
    answer.set()
    await settled()
    value: object = (await hub.tick()).channels.value
    assert value == ["flow"]
    await reader.stop()


async def test_a_page_whose_store_is_unavailable_keeps_its_content_and_states_since_when() -> None:
    broken = False

    async def render(_snapshot: Snapshot) -> Mapping[str, str]:
        if broken:
            raise StoreUnavailable("postgres", "frozen")
        return {"rows": "<tr></tr>"}

    part = PausesPart(clock := Clock())
    hub = LiveHub([part.reader], clock=clock)
    viewer = hub.join(LiveFeed("list", render, reads_stores=True), "session")
    [first] = await ticked(hub, viewer)
    broken, clock.now = True, clock.now + 1
    [second] = await ticked(hub, viewer)
    assert first is not None
    assert second is not None
    assert (second.regions, second.missing, second.since) == ({}, "postgres", first.at)
    assert b'"missing":"postgres"' in second.frame
    broken, clock.now = False, clock.now + 1
    [third] = await ticked(hub, viewer)
    assert third is not None
    assert third.missing is None


async def test_a_page_with_a_bug_does_not_end_the_other_pages() -> None:
    async def render(_snapshot: Snapshot) -> Mapping[str, str]:
        raise KeyError("a bug")

    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    hub.join(LiveFeed("broken", render), "session")
    viewer = hub.join(page.feed, "session")
    for _ in range(2):
        assert (await ticked(hub, viewer))[0] is not None
        clock.now += 1


async def test_pages_that_read_the_stores_do_not_delay_those_that_show_the_snapshot() -> None:
    frozen = asyncio.Event()

    async def render(_snapshot: Snapshot) -> Mapping[str, str]:
        await frozen.wait()
        return {}

    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    for number in range(10):
        hub.join(LiveFeed(number, render, reads_stores=True), "session")
    viewer = hub.join(page.feed, "session")
    assert (await ticked(hub, viewer))[0] is not None


async def test_the_first_view_of_a_page_reads_what_is_missing_and_the_next_uses_it() -> None:
    part = PausesPart(clock := Clock())
    hub = LiveHub([part.reader], clock=clock)
    first = await hub.snapshot()
    assert first.pauses.value == ["queue-1"]
    assert await hub.snapshot() is first
    clock.now += 2
    assert (await hub.snapshot()).pauses.value == ["queue-2"]
    assert hub.recent(first.at) is first
    assert hub.recent(first.at - 1) is None


async def test_many_different_pages_are_each_rendered_less_often() -> None:
    """The share of the CPU is bounded for all pages together, so each page waits for its turn."""
    rendered = 0

    async def render(_snapshot: Snapshot) -> Mapping[str, str]:
        nonlocal rendered
        rendered += 1
        return {"sum": str(sum(number * number for number in range(200_000)))}

    hub = LiveHub([], clock=(clock := Clock()))
    for number in range(10):
        hub.join(LiveFeed(number, render), "session")
    await settled()
    await hub.tick()
    # What a page costs is known after its first rendering.
    await eventually(lambda: rendered == 10, WAIT_S)
    clock.now += 1
    await settled()
    await hub.tick()
    await settled()
    assert rendered < 20
    await eventually(lambda: rendered == 20, WAIT_S)
