"""The pages of events: what they show of a request, and what a replay does in the stores."""

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from filas.contract.policies import WEBHOOKS
from filas.models.timelines import EntryKind, TimelineEntry
from ingest.api.history.replay_runner import ReplayRunner
from ingest.dashboard.pages import events as pages
from ingest.dashboard.presentation.states import look_of
from ingest.dashboard.presentation.texts import Reader
from ingest.dashboard.presentation.timeline_rows import timeline_rows
from tests.ingest.api.seeding import attempted, queued_notifications
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_history import new_event, started
from tests.ingest.dashboard.browsing import Browser
from tests.shared.repository.builders import end_events, fail_jobs

HOSTILE = "<script>alert(1)</script>\u202e\"'"
LARGE = 9_007_199_254_740_993


async def stored(api: Api, **changes: Any) -> str:
    """An accepted event of now. Returns its id."""
    event = new_event(**{"received_at": datetime.now(UTC)} | changes)
    await api.context.events.insert_many([event])
    return str(event.id)


async def jobs(api: Api) -> list[str]:
    return [one["id"] for one in (await api.get("/queue/webhook/jobs?state=waiting")).data]


async def test_an_empty_list_has_a_command_that_sends_an_event(api: Api, browser: Browser) -> None:
    """To a webhook that exists."""
    assert "No events yet" in (await browser.open("/events")).text
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting"})
    page = await browser.open("/events")
    assert "http://127.0.0.1:8080/webhooks/orders" in page.text


async def test_an_empty_search_states_what_matches_without_a_filter(api: Api, browser: Browser) -> None:
    """The button leads there and keeps the other filters."""
    for _ in range(3):
        await stored(api)
    page = await browser.open("/events?webhookId=orders&status=failed")
    assert "Nothing matches" in page.text
    assert "3 do without “failed”" in page.text
    rest = await browser.open("/events?webhookId=orders")
    assert "/dashboard/events?webhookId=orders" in page.links
    assert rest.html.count("data-row-href") == 3
    nothing = await browser.open("/events?conversationId=01990f3c-5d2e-7000-8000-3f2a9c1d0e4b")
    assert "Nothing matches" in nothing.text
    assert "/dashboard/events" in nothing.links


async def test_the_list_has_pages_and_keeps_its_filters(api: Api, browser: Browser) -> None:
    """Hostile text appears as text; a body that is no text is named so."""
    for number in range(52):
        await stored(api, received_at=datetime.now(UTC) - timedelta(seconds=number))
    await stored(api, body=HOSTILE.encode(), received_at=datetime.now(UTC) + timedelta(seconds=1))
    await stored(api, body=b"\xff\x00", received_at=datetime.now(UTC) + timedelta(seconds=2))
    await stored(api, webhook_id="other")
    page = await browser.open("/events?webhookId=orders")
    assert HOSTILE in page.text
    assert "binary data" in page.text
    assert page.html.count("data-row-href") == 50
    following = next(link for link in page.links if "cursor=" in link)
    assert "webhookId=orders" in following
    second = await browser.open(following.removeprefix("/dashboard"))
    assert second.html.count("data-row-href") == 4


async def test_an_event_shows_its_request_and_what_followed(api: Api, browser: Browser) -> None:
    """Headers, body, executions, the timeline to the delivery receipt, and why it is where it is."""
    event, execution = await started(api)
    [message] = await queued_notifications(api, execution)
    await attempted(api, message, succeeds=False)
    page = await browser.open(f"/events/{event}")
    for text in ("POST orders", "content-type", '{"name":"Maria"}', "Attempt 1 over console", "no answer within 10 s"):
        assert text in page.text, text
    assert f"/dashboard/executions/{execution}" in page.links
    assert "Why:" in page.text
    assert "The message over console waits" in page.text
    assert "filas events replay" in page.text


async def test_an_unknown_event_is_a_page_with_404(browser: Browser) -> None:
    await browser.open("/events/01990f3c-5d2e-7000-8000-3f2a9c1d0e4b", status=404)
    await browser.open("/events/none", status=404)


async def test_a_payload_is_shown_as_it_was_received(api: Api, browser: Browser) -> None:
    """Large numbers keep their digits, spaces stay, and hostile content is text. A lone surrogate is an escape."""
    body = f'{{"id":  {LARGE}, "x": 1.0, "t": "{HOSTILE[:-2]}", "s": "\\ud800"}}'
    event = await stored(api, body=body.encode(), headers='{"x-name":"<b>\\ud800</b>"}')
    page = await browser.open(f"/events/{event}")
    assert body in page.html.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'")
    assert str(LARGE) in page.text
    assert "<b>" not in page.html
    raw = await browser.session.get(f"{api.url}/dashboard/events/{event}/body")
    assert await raw.read() == body.encode()
    assert raw.headers["Content-Disposition"].startswith("attachment")


async def test_a_large_body_is_cut_and_can_be_downloaded(api: Api, browser: Browser) -> None:
    """1 MiB, and 10,000 keys."""
    for body in (b'"' + b"x" * 2**20 + b'"', msgspec.json.encode({f"key{n}": n for n in range(10_000)})):
        event = await stored(api, body=body)
        page = await browser.open(f"/events/{event}")
        assert len(page.html) < 60_000
        assert "Only the first 16,000 characters are shown" in page.text
        raw = await browser.session.get(f"{api.url}/dashboard/events/{event}/body")
        assert await raw.read() == body
        assert "too long to be edited here" in (await browser.open(f"/events/{event}/edit")).text
        assert len((await browser.open("/events")).html) < 60_000


async def test_a_coded_body_and_a_form_are_decoded(api: Api, browser: Browser) -> None:
    """Beside the received bytes, in base64 for those that are no text."""
    coded = await stored(
        api, body=gzip.compress(b'{"id": 12345678901234567890}'), headers='{"content-encoding":"gzip"}'
    )
    page = await browser.open(f"/events/{coded}")
    assert '{"id": 12345678901234567890}' in page.text
    assert "in base64" in page.text
    assert "12345678901234567890" in (await browser.open(f"/events/{coded}/edit")).text
    form = await stored(api, body=b"name=Ana&tag=1&tag=2", content_type="application/x-www-form-urlencoded")
    assert '{"name":"Ana","tag":["1","2"]}' in (await browser.open(f"/events/{form}")).text


async def test_an_event_is_replayed(api: Api, browser: Browser) -> None:
    """Its row is unfinished again, and its job is on the queue."""
    event = await stored(api)
    await fail_jobs(api.database, WEBHOOKS, {"eventId": event})
    page = await browser.open(f"/events/{event}")
    done = await browser.submit(page, f"/dashboard/events/{event}/replay")
    assert "processed again" in done.text
    assert (await api.get(f"/events/{event}")).data["status"] == "received"
    assert await jobs(api) == [WEBHOOKS.job_id(f"{event}:replay-1")]


async def test_an_edited_event_is_shown_beside_its_original(api: Api, browser: Browser) -> None:
    """A body that the webhook would refuse is shown again. Sent twice, it is one event. The original stays."""
    body = f'{{"id": {LARGE},\n "name": "Maria"}}'
    event = await stored(api, body=body.encode())
    page = await browser.open(f"/events/{event}/edit")
    action = f"/dashboard/events/{event}/replay"
    wrong = await browser.submit(page, action, {"body": '{"name":'}, status=422)
    assert '{"name":' in wrong.text
    assert 'role="alert"' in wrong.html
    assert await jobs(api) == []
    edited = body.replace("Maria", "Ana").replace("\n", "\r\n")
    for _ in range(2):
        done = await browser.submit(page, action, {"body": edited})
    assert "The edited event was stored" in done.text
    [replay] = (await api.get(f"/events?replayOf={event}")).data
    assert replay["body"] == edited.replace("\r\n", "\n")
    assert len(await jobs(api)) == 1
    assert '"Maria"' in done.text
    assert f"/dashboard/events/{event}" in done.links
    assert (await api.get(f"/events/{event}")).data["body"] == body
    assert replay["id"][-8:] in (await browser.open(f"/events/{event}")).text


async def test_an_edit_without_a_change_replays_the_event_itself(api: Api, browser: Browser) -> None:
    event = await stored(api, body=b'{\n"a": 1}')
    await end_events(api.database, UUID(event))
    page = await browser.open(f"/events/{event}/edit")
    form = page.form(f"/dashboard/events/{event}/replay")
    await browser.submit(page, form.action, {"body": form.fields["body"].removeprefix("\n").replace("\n", "\r\n")})
    assert (await api.get(f"/events?replayOf={event}")).data == []
    assert (await api.get(f"/events/{event}")).data["replay"] == 1


async def test_all_that_match_are_checked_and_then_replayed(api: Api, browser: Browser, viewer: Browser) -> None:
    """The check changes nothing. The replay has the filters of the list, and leads to its progress."""
    failed = [await stored(api) for _ in range(3)]
    await fail_jobs(api.database, WEBHOOKS, *({"eventId": event} for event in failed))
    await stored(api, webhook_id="other")
    assert "Check what would be replayed" not in (await browser.open("/events?webhookId=orders")).text
    assert "your role is viewer" in (await viewer.open("/events?status=failed")).text
    page = await browser.open("/events?webhookId=orders&status=failed")
    checked = await browser.open("/events/replay?webhookId=orders&status=failed&rate=100")
    assert "/dashboard/events/replay" in {form.action for form in page.forms}
    assert "3 events would be processed again" in checked.text
    assert (await api.get("/replays")).data == []
    for _ in range(2):
        done = await browser.submit(checked, "/dashboard/events/replay", status=200)
    [run] = (await api.get("/replays")).data
    assert done.url == f"/dashboard/replays/{run['id']}"
    assert (run["definition"]["webhookId"], run["rate"], run["expected"]) == ("orders", 100, 3)
    await ReplayRunner(api.context).step()
    assert len(await jobs(api)) == 1
    assert "Nothing to replay" in (await browser.open("/events/replay?webhookId=none")).text
    assert "did not work" not in (await browser.open("/events/replay?rate=fast")).text


async def test_the_list_is_searched_by_contact_and_words(api: Api, browser: Browser) -> None:
    """A number may be typed in any form; words in any order."""
    maria = await stored(api, body=b'{"from":"+5511987654321","text":"bom dia Maria"}')
    await stored(api, body=b'{"from":"+5521999990000","text":"boa noite"}')
    for query in ("contact=%2B55+%2811%29+98765-4321", "text=maria+BOM"):
        page = await browser.open(f"/events?{query}")
        assert page.html.count("data-row-href") == 1, query
        assert f"/dashboard/events/{maria}" in page.links


async def test_a_viewer_reads_and_cannot_act(api: Api, viewer: Browser) -> None:
    """No button is shown, and a form sent nevertheless is refused."""
    event = await stored(api)
    for path in (f"/events/{event}", f"/events/{event}/edit"):
        page = await viewer.open(path)
        assert [form.action for form in page.forms if "/events/" in form.action] == []
        assert "your role is viewer" in page.text
    await viewer.post(f"/events/{event}/replay", status=403)
    await viewer.post(f"/events/{event}/replay", {"body": "{}"}, status=403)
    assert await jobs(api) == []


@pytest.mark.parametrize("language", ["en", "pt-BR"])
async def test_every_kind_of_entry_has_a_title(language: Any) -> None:
    """In both languages, while it lasts and after it."""
    now = datetime.now(UTC)
    reader = Reader(language, UTC, "UTC")
    given = [
        TimelineEntry(at=now, kind=kind, what="", open=is_open)
        for kind in get_args(EntryKind)
        for is_open in (False, True)
    ]
    rows = timeline_rows(reader, given, now)
    assert all(row.title and look_of(row.state) for row in rows)
    assert len(rows) < pages.TIMELINE
