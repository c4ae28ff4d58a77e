"""Forged cursors and impossible times are answered 422 and never reach the database."""

import base64
import json
from typing import Any

import pytest

from tests.ingest.api.serving import Api, fields_of

ANY_ID = "018f0000-0000-7000-8000-000000000000"
TOO_EARLY, TOO_LATE = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


def cursor(position: Any) -> str:
    """A cursor in the format of the lists."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize("kind", ["events", "executions", "notifications", "dead-letters"])
@pytest.mark.parametrize("time", [TOO_EARLY, TOO_LATE, "2026-11-22T12:00:00", "yesterday", 7])
async def test_a_forged_time_in_a_cursor_is_rejected(api: Api, kind: str, time: Any) -> None:
    """422: a time outside of UTC's years, one without a zone, and a text that is no time."""
    assert fields_of(await api.get(f"/{kind}", params={"cursor": cursor([time, ANY_ID])})) == ["cursor"]


@pytest.mark.parametrize("kind", ["webhooks", "flows", "channels"])
async def test_a_forged_name_in_a_cursor_is_rejected(api: Api, kind: str) -> None:
    """It contains a NUL, which no text column can hold."""
    assert fields_of(await api.get(f"/{kind}", params={"cursor": cursor(["\x00"])})) == ["cursor"]
    assert (await api.get(f"/{kind}", params={"cursor": cursor(["zoë"])})).data == []


@pytest.mark.parametrize("place", ["-1", "9" * 20, "9" * 300, "ten"])
async def test_a_forged_position_in_a_queue_is_rejected(api: Api, place: str) -> None:
    """For every state of jobs. In Redis it would be an error."""
    forged = base64.urlsafe_b64encode(place.encode()).decode()
    for state in ("waiting", "active", "delayed", "completed", "failed"):
        reply = await api.get("/queue/webhook/jobs", params={"state": state, "cursor": forged})
        assert fields_of(reply) == ["cursor"]


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("time", [TOO_EARLY, TOO_LATE, "0.5", "1790000000", "now", ""])
async def test_a_text_that_is_no_time_is_rejected(api: Api, name: str, time: str) -> None:
    """422 for the filter. A bare number could be seconds or milliseconds, so it is rejected."""
    assert fields_of(await api.get("/events", params={name: time})) == [name]


async def test_the_first_and_the_last_time_are_accepted(api: Api) -> None:
    """The ends of the calendar are valid times."""
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        assert (await api.get("/events", params={"since": time, "until": time})).data == []
