"""The pages of schedules: every field, its errors, the next ticks, and who may do what."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from filas.repository.definitions.schedules import ScheduleRepository
from ingest.api.definitions.schedule_fields import ScheduleBody
from ingest.dashboard.pages.schedules.schedule_form import ADDED_BY_ANSWERS, schedule_form
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.form_coverage import paths_of, properties_of
from tests.ingest.dashboard.visiting import visited

LIST = "/dashboard/schedules"
DAILY = {"flowId": "greeting", "cron": "0 9 * * 1-5", "timezone": "America/Sao_Paulo"}


async def stored(api: Api, **changes: Any) -> None:
    """A schedule `daily` of a stored flow."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    assert (await api.put("/channels/console", {"type": "console"})).status == 200
    assert (await api.put("/schedules/daily", DAILY | changes)).status == 200


def test_the_form_has_every_field_of_the_body() -> None:
    """A new field of the API without an input fails here."""
    form = schedule_form((), (), "UTC", is_new=True)
    assert paths_of(form) - {"id"} == properties_of(ScheduleBody, ADDED_BY_ANSWERS)


async def test_a_schedule_is_created_with_every_field(api: Api, browser: Browser) -> None:
    await stored(api)
    page = await browser.open("/schedules/new")
    given = {
        "id": "hourly",
        "flowId": "greeting",
        "version": "1",
        "cron": "",
        "every.hours": "2",
        "timezone": "Europe/Lisbon",
        "startsAt": "2030-01-01T08:00",
        "endsAt": "2031-01-01T08:00",
        "input": '{"n": 9007199254740993}',
        "conversation.channel": "console",
        "conversation.contact": "+5511999990000",
        "misfire": "catch-up",
        "misfireGraceMs": "2",
        "misfireGraceMs.unit": "min",
        "catchUpLimit": "7",
    }
    done = await browser.submit(page, LIST, given)
    assert "The schedule “hourly” is saved." in done.text
    assert "every 2 hours" in done.text
    found = (await api.get("/schedules/hourly")).data
    assert found["every"] == {"hours": 2}
    assert found["input"] == {"n": 9007199254740993}
    assert found["startsAt"] == "2030-01-01T08:00:00Z"
    assert (found["misfire"], found["misfireGraceMs"], found["catchUpLimit"]) == ("catch-up", 120_000, 7)
    assert found["conversation"] == {"channel": "console", "contact": "+5511999990000"}
    assert found["enabled"] is True
    assert "2030-01-01" in done.text, "its next ticks"


async def test_saving_without_a_change_changes_nothing(api: Api, browser: Browser) -> None:
    """Also times with seconds, and what the form shows as blank."""
    await stored(api, cron=None, at=["2031-01-01T10:00:30.5Z", "2031-02-01T10:00:00Z"], input=[1, "a"])
    before = (await api.get("/schedules/daily")).data
    page = await browser.open("/schedules/daily")
    await browser.submit(page, f"{LIST}/daily")
    after = (await api.get("/schedules/daily")).data
    changing = ("revision", "updatedAt")
    assert {name: one for name, one in after.items() if name not in changing} == {
        name: one for name, one in before.items() if name not in changing
    }


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no id": ({"id": ""}, "id"),
    "an id that exists": ({"id": "daily"}, "id"),
    "a wrong id": ({"id": "a b"}, ""),
    "an unknown flow": ({"flowId": "greating"}, "flowId"),
    "no flow": ({"flowId": ""}, "flowId"),
    "no version": ({"version": "99"}, "version"),
    "a version that is no number": ({"version": "x"}, "version"),
    "a wrong cron": ({"cron": "99 * * * *"}, "cron"),
    "a cron that never comes": ({"cron": "0 0 31 2 *"}, "cron"),
    "a cron that is no step": ({"cron": "*/90 * * * *"}, "cron"),
    "a cron and an interval": ({"every.days": "1"}, "cron"),
    "nothing": ({"cron": ""}, "cron"),
    "two units": ({"cron": "", "every.days": "1", "every.hours": "3"}, "every-minutes"),
    "an interval of none": ({"cron": "", "every.days": "0"}, "every-days"),
    "an unknown zone": ({"timezone": "Mars/Base"}, "timezone"),
    "a wrong time": ({"cron": "", "at[0].value": "soon"}, "at-0-value"),
    "an end before the start": ({"startsAt": "2031-01-01T00:00", "endsAt": "2030-01-01T00:00"}, "endsAt"),
    "no JSON": ({"input": "{"}, "input"),
    "an unknown channel": ({"conversation.channel": "none", "conversation.contact": "a"}, "conversation-channel"),
    "no contact": ({"conversation.channel": "console"}, "conversation-c"),
    "an unknown misfire": ({"misfire": "twice"}, "misfire"),
    "a grace that is too short": ({"misfireGraceMs": "1", "misfireGraceMs.unit": "ms"}, "misfireGraceMs"),
    "a grace that is no number": ({"misfireGraceMs": "x"}, "misfireGraceMs"),
    "a limit that is too large": ({"catchUpLimit": "501"}, "catchUpLimit"),
}


async def test_each_error_is_shown_at_its_field(api: Api, browser: Browser) -> None:
    """What was typed stays, and nothing is stored."""
    await stored(api)
    page = await browser.open("/schedules/new?flowId=greeting")
    good = {"id": "next", "cron": "0 9 * * *"}
    for case, (fields, wrong) in WRONG.items():
        shown = await browser.submit(page, LIST, good | fields, status=422)
        assert re.search(rf'id="field-{wrong}[^"]*-error"', shown.html) or not wrong, case
        assert "Nothing was saved" in shown.text, case
        for name, text in fields.items():
            assert shown.form(LIST).fields[name].removeprefix("\n") == text, case
    assert [one["id"] for one in (await api.get("/schedules")).data] == ["daily"]


async def test_a_schedule_may_be_stored_before_its_flow(api: Api, browser: Browser) -> None:
    """The button for it appears when the flow is not stored."""
    page = await browser.open("/schedules/new")
    fields = {"id": "early", "flowId": "later", "cron": "0 9 * * *"}
    shown = await browser.submit(page, LIST, fields, status=422)
    assert "Save without the flow or channel" in shown.text
    assert "Save without" not in page.text
    await browser.submit(shown, LIST, {"_do": "force"})
    assert (await api.get("/schedules/early")).data["flowId"] == "later"


async def test_the_next_ticks_are_shown_while_editing(api: Api, browser: Browser) -> None:
    """In the zone of the reader, with a warning about what does not mean what it seems to mean."""
    await stored(api)
    page = await browser.open("/schedules/daily")
    assert page.html.count("<li><time") == 10
    assert "T12:00:00.000Z" in page.html
    shown = await browser.submit(page, f"{LIST}/daily", {"cron": "30 9 */5 * *", "_do": "ticks"})
    assert shown.html.count("<li><time") == 10
    assert "days of the month" in shown.text
    assert shown.form(f"{LIST}/daily").fields["cron"] == "30 9 */5 * *"
    assert (await api.get("/schedules/daily")).data["cron"] == DAILY["cron"]
    csrf = page.form(f"{LIST}/daily").fields["csrf"]
    for fields, text in (
        ({"cron": "0 7 * * *", "timezone": "UTC"}, "T07:00:00.000Z"),
        ({"cron": "0 7 * * *", "flowId": "what is typed", "version": "x"}, "T07:00:00.000Z"),
        ({"cron": "x"}, "cron:"),
        ({"cron": ""}, "Give a cron expression"),
        ({"at[0].value": "2001-01-01T00:00"}, "No tick is to come."),
        ({"every.days": "x"}, "Give a cron expression"),
    ):
        part = await browser.post("/schedules/ticks", {"csrf": csrf, "flowId": "greeting"} | fields, status=200)
        assert text in part.html, fields
        assert "<html" not in part.html


async def test_the_list_shows_the_next_tick_and_the_last_result(api: Api, browser: Browser) -> None:
    await stored(api)
    await api.put("/schedules/off", DAILY | {"enabled": False})
    await api.put("/schedules/over", DAILY | {"endsAt": "2020-01-01T00:00:00Z"})
    await api.put("/schedules/times", {"flowId": "greeting", "at": ["2031-01-01T00:00:00Z", "2032-01-01T00:00:00Z"]})
    late = datetime.now(UTC) - timedelta(minutes=5)
    await api.database.fetch(
        "update schedules set next_run_at = $1, last_error = $2::json where id = 'daily'",
        late,
        '{"kind":"conflict","message":"<b>no flow</b>"}',
    )
    assert (await ScheduleRepository(api.database).get("daily")) is not None
    page = await browser.open("/schedules")
    for text in ("late", "disabled", "no tick to come", "2 times", "not started", "<b>no flow</b>", "0 9 * * 1-5"):
        assert text in page.text, text
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    shown = await browser.open("/schedules/daily")
    assert "One execution starts for all missed ticks" in shown.text
    empty = await browser.open("/schedules?cursor=!")
    assert "This part cannot be shown" in empty.text


async def test_a_schedule_is_deleted(api: Api, browser: Browser) -> None:
    await stored(api)
    page = await browser.open("/schedules/daily")
    assert "Delete the schedule “daily”?" in page.text
    done = await browser.submit(page, f"{LIST}/daily/delete")
    assert "The schedule “daily” is deleted." in done.text
    assert "No schedules yet" in done.text
    await browser.open("/schedules/daily", status=404)
    await browser.post("/schedules/daily", DAILY | {"flowId": "greeting"}, status=404)


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_only_admins_change_schedules(api: Api, role: str) -> None:
    """Others see the same values, and no button; the server refuses every change."""
    await stored(api)
    async with visited(api, role) as other:
        page = await other.open("/schedules/daily")
        assert "your role is" in page.text
        assert DAILY["cron"] in page.html
        assert "T12:00:00.000Z" in page.html
        assert not [form.action for form in page.forms if "/schedules" in form.action]
        assert f"{LIST}/new" not in (await other.open("/schedules")).links
        await other.open("/schedules/new", status=403)
        for path in ("/schedules", "/schedules/daily", "/schedules/daily/delete", "/schedules/ticks"):
            await other.post(path, {"id": "x", "flowId": "greeting", "cron": "0 9 * * *"}, status=403)
    assert len((await api.get("/schedules")).data) == 1
