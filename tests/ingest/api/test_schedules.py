"""The routes of schedules: stored, shown with their ticks, and rejected with every wrong field at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.api.definitions.schedule_fields import read_schedule
from ingest.api.routing.problems import ApiProblem
from tests.ingest.api.serving import FLOW, Api, fields_of
from tests.long_form import examples

DAILY: dict[str, Any] = {"flowId": "greeting", "cron": "30 8 * * *", "timezone": "America/Sao_Paulo", "input": {"a": 1}}


@pytest.fixture(autouse=True)
async def stored(api: Api) -> None:
    """The flow and the channel that the schedules name."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    assert (await api.put("/channels/console", {"type": "console"})).status == 200


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_schedule_is_stored_and_shown_with_its_next_ticks(api: Api) -> None:
    """A PUT of the answer changes nothing. The ticks are in the time zone; `preview` is their number."""
    put = await api.put("/schedules/daily", DAILY)
    assert put.status == 200, put.text
    assert {name: put.data[name] for name in DAILY} == DAILY
    assert (put.data["enabled"], put.data["misfire"], put.data["lastRunAt"]) == (True, "run-once", None)
    ticks = [_time(text) for text in put.data["nextRuns"]]
    assert [(tick.hour, tick.minute) for tick in ticks] == [(11, 30)] * 5, "half past eight in São Paulo"
    assert put.data["nextRunAt"] == put.data["nextRuns"][0]
    again = await api.put("/schedules/daily", put.data)
    assert again.status == 200, again.text
    assert {**again.data, "revision": 0, "updatedAt": 0} == {**put.data, "revision": 0, "updatedAt": 0}
    assert again.data["revision"] > put.data["revision"]
    assert len((await api.get("/schedules/daily", params={"preview": "12"})).data["nextRuns"]) == 12
    assert fields_of(await api.get("/schedules/daily", params={"preview": "101"})) == ["preview"]


async def test_schedules_are_listed_and_deleted(api: Api) -> None:
    """In pages, by their ids. A deleted schedule is not listed."""
    for name in ("a", "b", "c"):
        await api.put(f"/schedules/{name}", DAILY)
    first = await api.get("/schedules", params={"limit": "2"})
    rest = await api.get("/schedules", params={"limit": "2", "cursor": first.json["nextCursor"]})
    assert [item["id"] for item in first.data + rest.data] == ["a", "b", "c"]
    assert (await api.delete("/schedules/b")).data == {"id": "b", "deleted": True}
    assert (await api.get("/schedules/b")).status == 404
    assert (await api.delete("/schedules/b")).status == 404


async def test_given_times_are_sorted(api: Api) -> None:
    """A time in the past is no tick. Without a time in the future there is no next run."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    times = [soon + timedelta(hours=1), soon, soon, soon - timedelta(hours=2)]
    put = await api.put("/schedules/once", {"flowId": "greeting", "at": [time.isoformat() for time in times]})
    assert put.status == 200, put.text
    assert [_time(text) for text in put.data["nextRuns"]] == [soon, soon + timedelta(hours=1)]
    past = await api.put("/schedules/once", {"flowId": "greeting", "at": ["2020-01-01T00:00:00-03:00"]})
    assert (past.data["nextRunAt"], past.data["nextRuns"]) == (None, [])


async def test_the_ticks_are_between_start_and_end(api: Api) -> None:
    """Both ends are included."""
    window = {"startsAt": "2100-01-01T11:30:00Z", "endsAt": "2100-01-03T08:30:00-03:00"}
    put = await api.put("/schedules/daily", DAILY | window)
    assert put.data["nextRuns"] == ["2100-01-01T11:30:00Z", "2100-01-02T11:30:00Z", "2100-01-03T11:30:00Z"]


async def test_a_due_tick_stays_due_unless_the_times_change(api: Api) -> None:
    """Another input keeps the tick. Other times, or a time while the schedule was disabled, discard it."""
    await api.put("/schedules/daily", DAILY)
    due = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)

    async def put(**change: Any) -> datetime | None:
        await api.database.fetch("update schedules set next_run_at = $1 where id = 'daily'", due)
        shown = await api.put("/schedules/daily", DAILY | change)
        return _time(shown.data["nextRunAt"]) if shown.data["nextRunAt"] else None

    await api.put("/flows/other", FLOW)
    assert await put(input=2, misfire="skip", flowId="other") == due
    moved = await put(cron="0 9 * * *")
    assert moved is not None
    assert moved > datetime.now(UTC)
    assert await put(enabled=False) is None
    assert (await api.get("/schedules/daily")).data["nextRuns"] == []


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"cron": "61 * * * *"}, ["cron"]),
        ({"cron": None}, ["cron"]),
        ({"cron": "*/90 * * * *"}, ["cron"]),
        ({"cron": "0 */13 * * *"}, ["cron"]),
        ({"every": {"minutes": 90}}, ["cron"]),
        ({"cron": None, "every": {}}, ["every"]),
        ({"cron": None, "every": {"minutes": 90, "hours": 1}}, ["every"]),
        ({"cron": None, "every": {"minutes": 0}}, ["every.minutes"]),
        ({"cron": None, "every": {"months": 1}}, ["every.months"]),
        ({"cron": None, "every": 90}, ["every"]),
        ({"at": ["2030-01-01T00:00:00Z"]}, ["cron"]),
        ({"cron": None, "at": []}, ["at"]),
        ({"cron": None, "at": ["2030-01-01T00:00:00"]}, ["at[0]"]),
        ({"cron": None, "at": ["2030-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00"]}, ["at[1]"]),
        ({"cron": "0 0 * * MON#6"}, ["cron"]),
        ({"timezone": "America/Nowhere"}, ["timezone"]),
        ({"timezone": "America"}, ["timezone"]),
        ({"timezone": "../etc/passwd"}, ["timezone"]),
        ({"startsAt": "2030-01-02T00:00:00Z", "endsAt": "2030-01-01T00:00:00Z"}, ["endsAt"]),
        ({"conversation": {"channel": "console"}}, ["conversation.contact"]),
        ({"conversation": {"channel": "console", "contact": "a\x00"}}, ["conversation.contact"]),
        ({"input": "x" * 70_000}, ["input"]),
        ({"catchUpLimit": 0, "misfire": "maybe", "every": 5}, ["every", "misfire", "catchUpLimit"]),
        ({"cron": "bad", "timezone": "bad", "endsAt": "9999-12-31T23:59:00-05:00"}, ["endsAt", "timezone", "cron"]),
        ({"cron": 5, "timezone": "bad", "enabled": "yes", "flowId": "a b"}, ["flowId", "cron", "enabled", "timezone"]),
        ({"cron": None, "at": "tomorrow"}, ["at"]),
        ({"id": "another"}, ["id"]),
    ],
)
async def test_every_wrong_field_is_named(api: Api, change: dict[str, Any], fields: list[str]) -> None:
    """422, and nothing is stored."""
    assert fields_of(await api.put("/schedules/daily", DAILY | change)) == fields
    assert (await api.get("/schedules/daily")).status == 404


async def test_an_input_with_any_text_is_kept(api: Api) -> None:
    """Also characters that no text column of Postgres can hold."""
    odd = '{"flowId":"greeting","cron":"0 0 * * *","input":{"t":"\\u0000"}}'
    put = await api.call("PUT", "/schedules/odd", data=odd, headers={"Content-Type": "application/json"})
    assert put.status == 200, put.text
    assert (await api.get("/schedules/odd")).data["input"] == {"t": "\x00"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_CRON = st.lists(
    st.text(alphabet="0123456789*/,-LW#MONJAn?", min_size=1, max_size=6), min_size=4, max_size=7
).map(" ".join)  # fmt: skip
_ZONE = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "posixrules", "Etc"]) | st.text(max_size=70)
_MOMENT = st.datetimes().map(lambda one: one.isoformat() + "Z") | st.text(max_size=30)
_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "flowId": st.just("greeting") | _JSON,
        "cron": _CRON | _JSON,
        "timezone": _ZONE | _JSON,
        "at": st.lists(_MOMENT, max_size=4) | _JSON,
        "startsAt": _MOMENT | _JSON,
        "endsAt": _MOMENT | _JSON,
        "misfire": st.sampled_from(["skip", "run-once", "catch-up"]) | _JSON,
        "misfireGraceMs": st.integers() | _JSON,
        "catchUpLimit": st.integers() | _JSON,
        "version": st.integers() | _JSON,
        "conversation": st.fixed_dictionaries({"channel": st.text(), "contact": st.text()}) | _JSON,
        "input": _JSON,
        "enabled": _JSON,
        "lastError": _JSON,
    },
)


async def test_any_body_is_stored_or_answered_4xx(api: Api) -> None:
    """Every error has its field. Never 5xx."""
    raw: list[bytes] = []
    refused: list[ApiProblem] = []

    @settings(max_examples=examples(400), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_BODIES)
    def read(body: dict[str, Any]) -> None:
        text = msgspec.json.encode(body)
        try:
            read_schedule(text)
        except ApiProblem as refusal:
            refused.append(refusal)
            raw.append(text)
        else:
            raw.insert(0, text)

    read()
    assert {(refusal.status, bool(refusal.extra["errors"])) for refusal in refused} == {(422, True)}
    for text in raw[:150]:
        reply = await api.call("PUT", "/schedules/any", data=text, headers={"Content-Type": "application/json"})
        assert reply.status in (200, 422), (text, reply.text)


async def test_a_schedule_has_an_interval_instead_of_cron(api: Api) -> None:
    """It is stored and shown as it was sent, with its next ticks. The error of a step shows what to write instead."""
    refused = await api.put("/schedules/often", DAILY | {"cron": "*/90 * * * *"})
    (error,) = refused.json["errors"]
    assert error["code"] == "cron-meaning"
    assert '"every": {"minutes": 90}' in error["message"]
    every = {"flowId": "greeting", "every": {"minutes": 90}, "startsAt": "2030-01-01T00:00:00Z"}
    stored = await api.put("/schedules/often", every)
    assert stored.status == 200, stored.text
    assert (stored.data["every"], stored.data["cron"], stored.data["warnings"]) == ({"minutes": 90}, None, [])
    found = await api.get("/schedules/often?preview=3")
    expected = ["2030-01-01T00:00:00Z", "2030-01-01T01:30:00Z", "2030-01-01T03:00:00Z"]
    assert found.data["nextRuns"] == expected
    again = await api.put("/schedules/often", stored.data)
    assert (again.status, again.data["every"]) == (200, {"minutes": 90}), again.text


async def test_a_doubtful_cron_expression_is_a_warning(api: Api) -> None:
    stored = await api.put("/schedules/odd", DAILY | {"cron": "0 9 31 * *"})
    assert stored.status == 200
    (warning,) = stored.data["warnings"]
    assert (warning["field"], warning["code"]) == ("cron", "cron-meaning")
    assert "months without a day 31 are left out" in warning["message"]


async def test_the_ticks_of_a_schedule_that_is_not_stored(api: Api) -> None:
    """Also of one that is disabled, whose flow is missing, or that perhaps does not mean what it seems to mean."""
    body = {"flowId": "missing", "cron": "0 9 * * *", "timezone": "America/Sao_Paulo", "enabled": False}
    found = (await api.post("/schedules/preview?preview=3", body)).data
    assert len(found["nextRuns"]) == 3
    assert all("T12:00:00" in tick for tick in found["nextRuns"])
    assert found["warnings"] == []
    doubtful = (await api.post("/schedules/preview", body | {"cron": "0 9 */5 * *"})).data
    assert len(doubtful["nextRuns"]) == 10
    assert [one["field"] for one in doubtful["warnings"]] == ["cron"]
    over = {"flowId": "f", "at": ["2001-01-01T00:00:00Z"]}
    assert (await api.post("/schedules/preview", over)).data["nextRuns"] == []
    assert (await api.post("/schedules/preview", {"flowId": "f", "cron": "x"})).status == 422
    assert (await api.get("/schedules")).data == []
