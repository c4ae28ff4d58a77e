"""The overview: every part of the pipeline, findings where they belong, stored moments, and what an outage leaves."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filas.contract.channel_circuits import ChannelReport
from filas.contract.policies import QUEUES
from filas.models.findings import Finding, Severity, Subject, SubjectKind
from filas.queue.channel_circuits import ChannelCircuits
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from filas_local.servers import PostgresServer, RedisServer
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.pipeline.content import pipeline_of
from ingest.dashboard.pipeline.finding_places import cause_address, marks, part_of
from ingest.dashboard.pipeline.placement import narrow, wide
from ingest.dashboard.presentation.texts import page_messages
from tests.freezing import frozen
from tests.heartbeats import present
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import serving
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser, Page, signed_in
from tests.shared.repository import builders
from tests.waiting import eventually

DOCTOR = Path(__file__).parents[3] / "docs" / "operations" / "doctor.md"


def finding(code: str, kind: SubjectKind, subject_id: str = "", severity: Severity = "warning") -> Finding:
    """A finding of the doctor."""
    subject = Subject(kind=kind, id=subject_id)
    return Finding(code=code, severity=severity, subject=subject, message=f"{code}!", remedy="do something")


async def until_shown(browser: Browser, language: str, words: Sequence[str]) -> Page:
    """The overview, once it has all these words. A part that was read too slowly is shown as it was before."""
    absent: list[str] = []

    async def shown() -> Page | None:
        page = await browser.open("/", headers={"Accept-Language": language})
        absent[:] = [word for word in words if word not in page.text]
        return None if absent else page

    try:
        return await eventually(shown)
    except AssertionError:
        pytest.fail(f"not shown: {absent}")


async def test_the_picture_shows_every_part(browser: Browser) -> None:
    api = browser.api
    events = [builders.event(webhook_id="loja <b>", received_at=datetime.now(UTC)) for _ in range(3)]
    await api.context.events.insert_many(events)
    await RollupBuilder(RollupStore(api.database, "a-worker", pause_share=0.0)).build(datetime.now(UTC))
    assert (await api.put("/channels/sms", {"type": "console"})).status == 200
    # A pause of an hour: one after failures may end before the second page is read.
    report = ChannelReport(channel_id="sms", id="m", outcome="busy", pause_s=3600)
    await ChannelCircuits(api.redis).report_many([report])
    for policy in QUEUES:
        await present(api.redis, policy, 3, 10)
    await delayed_job(api, "later")
    for language, words in (
        (
            "en",
            ("loja <b>", "3 events", "3 of 10 slots busy", "sms", "paused", "A channel is paused", "Redis", "Postgres"),
        ),
        ("pt-BR", ("3 eventos", "3 de 10 vagas em uso", "pausado", "Um canal está pausado")),
    ):
        page = await until_shown(browser, language, words)
        assert page.html.count('<svg class="pipeline ') == 2, "one for wide screens and one for narrow ones"
        assert "/dashboard/events?webhookId=loja%20%3Cb%3E" in page.links
        assert "/dashboard/doctor?channel=sms" in page.links
        assert "#finding-channel-paused-sms" in page.links, "the mark in the picture leads to the finding"
        assert 'id="finding-channel-paused-sms"' in page.html
        assert len(page.html) < 2 * MAX_HTML_BYTES


async def test_a_frozen_moment_is_shown_later_and_an_unknown_one_is_not(browser: Browser) -> None:
    await delayed_job(browser.api, "later")
    page = await browser.open("/")
    page = await browser.submit(page, "/dashboard/live/moments")
    address = re.search(r"at=(\d+)", page.html)
    assert address is not None
    assert "figures of a stored moment" in page.text
    assert "data-live=" not in page.html, "a stored moment does not change"
    await browser.api.redis.command("DEL", *(await browser.api.redis.command("KEYS", "webhook-processing*")))
    again = await browser.open(f"/?at={address[1]}")
    assert "1 delayed" in again.text
    await browser.open("/?at=1", status=404)
    await browser.open("/?at=nonsense", status=404)


async def test_a_viewer_sees_the_overview(viewer: Browser) -> None:
    page = await viewer.open("/")
    assert "The last hour" in page.text


async def test_without_redis_the_rest_is_shown(own_redis: RedisServer, postgres_dsn: str) -> None:
    async with serving(own_redis.url, postgres_dsn) as api, signed_in(api) as browser:
        await browser.open("/")
        with frozen(own_redis):

            async def states_it() -> bool:
                page = await browser.open("/")
                return "Out of date: queues and workers, as of" in page.text and "The last hour" in page.text

            await eventually(states_it)


async def test_without_postgres_the_rest_is_shown(own_postgres: PostgresServer, redis_url: str) -> None:
    async with serving(redis_url, own_postgres.dsn()) as api, signed_in(api) as browser:
        await browser.open("/")
        with frozen(own_postgres):

            async def states_it() -> bool:
                page = await browser.open("/")
                return "Out of date: channels, as of" in page.text and "webhook-processing" in page.text

            await eventually(states_it)


@pytest.mark.parametrize(
    ("found", "part"),
    [
        (finding("redis-memory", "redis"), "redis"),
        (finding("postgres-disk", "postgres"), "postgres"),
        (finding("weak-secret", "process"), "ingest"),
        (finding("queue-late", "queue", "notification"), "notification"),
        (finding("dead-letters", "queue"), "letters"),
        (finding("flow-failing", "flow", "orders"), "flow"),
        (finding("refusals-spike", "webhook"), "ingest"),
        (finding("refusals-spike", "webhook", "shop"), "webhook:shop"),
        (finding("webhook-without-flow", "webhook", "other"), "senders"),
        (finding("channel-failing", "channel", "sms"), "channel:sms"),
        (finding("channel-unknown", "channel", "gone"), "channels"),
        (finding("schedule-failing", "schedule", "daily"), "flow"),
        (finding("x", "job", "{notifications}:1"), "notification"),
    ],
)
def test_a_finding_is_at_the_place_that_it_concerns(found: Finding, part: str) -> None:
    assert part_of(found, frozenset({"webhook:shop", "channel:sms"})) == part


def test_a_mark_shows_the_worst_finding_of_its_part() -> None:
    found = [finding("queue-late", "queue", "flow"), finding("jobs-without-lease", "queue", "flow", "critical")]
    mark = marks(found, frozenset())["flow"]
    assert (mark.severity, mark.count, mark.first.code) == ("critical", 2, "jobs-without-lease")


def test_the_page_of_a_cause_is_a_path_of_the_dashboard() -> None:
    for found in (
        finding("queue-late", "queue", "flow"),
        finding("flow-failing", "flow", "a&b"),
        finding("channel-failing", "channel", "a/b?c"),
        finding("refusals-spike", "webhook", "shop"),
    ):
        address = cause_address(found)
        assert address is not None
        assert re.fullmatch(r"/dashboard/[a-z-]+(/[a-z]+)?(\?[\w=&%-]+)?", address), address
    assert cause_address(finding("weak-secret", "process")) is None


def test_every_finding_has_a_title() -> None:
    """In both languages, because both have the same texts."""
    text = DOCTOR.read_text()
    codes = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", text[text.index("## Findings") :]))
    assert {code for code in codes if f"findings.{code}" not in page_messages("en")} == set()


def test_no_part_of_the_picture_overlaps_another() -> None:
    """Also where nothing was read yet."""
    pipeline = pipeline_of(Snapshot(at=1))
    for place in (wide(pipeline), narrow(pipeline)):
        boxes = [place.senders, place.ingest, *place.stations, place.channels, *place.stores]
        for index, one in enumerate(boxes):
            assert 0 <= one.x < one.right <= place.width
            assert 0 <= one.y < one.bottom <= place.height
            for other in boxes[index + 1 :]:
                apart = one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y
                assert apart, (place.name, one, other)


async def test_the_hour_is_compared_with_the_one_before(browser: Browser) -> None:
    now = datetime.now(UTC)
    ages = [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=80)]
    await browser.api.context.events.insert_many([builders.event(received_at=now - age) for age in ages])
    await RollupBuilder(RollupStore(browser.api.database, "a-worker", pause_share=0.0)).build(now)
    page = await browser.open("/")
    assert "2 events received hour before: 1" in page.text
    assert page.text.count("at most") == 2
