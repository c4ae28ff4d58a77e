"""The search box: an id opens its page, other text shows what is found."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from filas.repository.search import event_search
from tests.ingest.api.serving import Api
from tests.ingest.api.test_history import new_event
from tests.ingest.dashboard.browsing import Browser

AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


async def test_an_id_opens_its_page(api: Api, browser: Browser) -> None:
    """The page of an event."""
    event = new_event()
    await api.context.events.insert_many([event])
    async with browser.session.get(f"{api.url}/dashboard/search?q={event.id}", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"/dashboard/events/{event.id}")


async def test_words_and_nothing(browser: Browser) -> None:
    """What was typed stays in the box, as text."""
    page = await browser.open("/search?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "Nothing was found" in page.text
    assert page.form("/dashboard/search").fields["q"] == "<script>alert(1)</script>"
    assert "What are you looking for?" in (await browser.open("/search?q=")).text
    for odd in ("%00", "%ff", "%ed%a0%80", "a" * 300, "%27%3B drop table events"):
        assert (await browser.open(f"/search?q={odd}")).status == 200


async def test_a_page_that_is_short_states_that_the_search_is_not_complete(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the search was over. The link continues it, to the last event."""
    monkeypatch.setattr("filas.repository.events.SEARCH_S", 0.0)
    monkeypatch.setattr(event_search, "CHUNK", 4)
    events = [msgspec.structs.replace(new_event(), body=b'{"text":"%s"}' % word) for word in (b"gato", b"cachorro") * 6]
    await api.context.events.insert_many(events)
    path, found, pages = "/search?q=gato", [], 0
    while path:
        page = await browser.open(path)
        found += [link for link in page.links if "/dashboard/events/" in link]
        following = [link for link in page.links if "cursor=" in link]
        assert len(following) == ("Not all of the time is searched yet" in page.text)
        path, pages = following[0].removeprefix("/dashboard") if following else "", pages + 1
    assert sorted(found) == sorted(f"/dashboard/events/{one.id}" for one in events[::2])
    assert pages > 2
    assert "Not all of the time is searched yet" in (await browser.open("/events?text=gato")).text


async def test_a_search_for_words_shows_how_far_the_index_is_behind(api: Api, browser: Browser) -> None:
    """On the page of the search box, and on that of the events."""
    event = new_event()
    await api.context.events.insert_many([msgspec.structs.replace(event, received_at=AN_HOUR_AGO)])
    for address in ("/search?q=nothing-has-this", "/events?text=nothing-has-this"):
        page = await browser.open(address)
        assert "not in the index of words yet: 1, the oldest" in page.text, address
    assert "index of words" not in (await browser.open("/events")).text
