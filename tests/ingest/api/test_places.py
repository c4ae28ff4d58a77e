"""Places in lists and times in filters: what nobody was ever given is refused by name, not met in the database."""

import base64
import json
from typing import Any

import pytest

from tests.ingest.api.serving import Api, fields_of

ANY_ID = "018f0000-0000-7000-8000-000000000000"
TOO_EARLY, TOO_LATE = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


def cursor(position: Any) -> str:
    """A cursor as the lists make them."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize("kind", ["events", "executions", "notifications", "dead-letters"])
@pytest.mark.parametrize("time", [TOO_EARLY, TOO_LATE, "2026-11-22T12:00:00", "yesterday", 7])
async def test_a_forged_time_in_a_cursor(api: Api, kind: str, time: Any) -> None:
    """422: a time that UTC has no date for, one without a zone, and none at all."""
    assert fields_of(await api.get(f"/{kind}", params={"cursor": cursor([time, ANY_ID])})) == ["cursor"]


@pytest.mark.parametrize("kind", ["webhooks", "flows", "channels"])
async def test_a_forged_name_in_a_cursor(api: Api, kind: str) -> None:
    """A NUL, which no column of text holds."""
    assert fields_of(await api.get(f"/{kind}", params={"cursor": cursor(["\x00"])})) == ["cursor"]
    assert (await api.get(f"/{kind}", params={"cursor": cursor(["zoë"])})).data == []


@pytest.mark.parametrize("place", ["-1", "9" * 20, "9" * 300, "ten"])
async def test_a_forged_place_in_a_queue(api: Api, place: str) -> None:
    """Whatever the state: Redis would make an error of it."""
    forged = base64.urlsafe_b64encode(place.encode()).decode()
    for state in ("waiting", "active", "delayed", "completed", "failed"):
        reply = await api.get("/queue/webhook/jobs", params={"state": state, "cursor": forged})
        assert fields_of(reply) == ["cursor"]


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("time", [TOO_EARLY, TOO_LATE, "0.5", "1790000000", "now", ""])
async def test_a_time_that_is_none(api: Api, name: str, time: str) -> None:
    """422 naming the filter; a bare number could be seconds or milliseconds, so it is neither."""
    assert fields_of(await api.get("/events", params={name: time})) == [name]


async def test_the_first_and_the_last_time(api: Api) -> None:
    """The ends of the calendar are times like any other."""
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        assert (await api.get("/events", params={"since": time, "until": time})).data == []
