"""The pages of alerts: every field of a rule, its errors, its state and history, silence and test messages."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from filas.contract.identity import new_id
from ingest.api.operations.alert_routes import AlertBody
from ingest.dashboard.pages.alerts.alert_form import alert_form
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser
from tests.ingest.dashboard.form_coverage import paths_of, properties_of
from tests.ingest.dashboard.visiting import visited

LIST = "/dashboard/alerts"
RULE = {"metric": "dead-letters", "threshold": 5, "to": [{"channel": "console", "to": "#ops"}]}
HOSTILE = "<script>alert(1)</script>"


async def stored(api: Api, **changes: Any) -> None:
    """A rule `mine` with a recipient."""
    assert (await api.put("/channels/console", {"type": "console"})).status == 200
    assert (await api.put("/alerts/mine", RULE | changes)).status == 200


async def fired(api: Api, rule: str, state: str, subject: str = "checkout", value: float = 0.25) -> None:
    """A firing of a rule."""
    now = datetime.now(UTC)
    await api.database.fetch(
        """
        insert into alert_firings (id, rule_id, subject, state, severity, value, peak, detail, pending_since, fired_at,
            resolved_at)
        values ($1, $2, $3, $4, 'critical', $5, 0.5, $6::json, $7, $8, $9)""",
        new_id(), rule, subject, state, value, f'{{"sentence": "{HOSTILE}"}}', now - timedelta(minutes=9),
        None if state == "pending" else now - timedelta(minutes=8), now if state == "resolved" else None,
    )  # fmt: skip


def test_the_form_has_every_field_of_the_body() -> None:
    """A new field of the API without an input fails here."""
    form = alert_form((), is_new=True)
    assert paths_of(form) == properties_of(AlertBody, frozenset())


async def test_a_rule_is_created_with_every_field(api: Api, browser: Browser) -> None:
    await stored(api)
    page = await browser.open("/alerts/new")
    given = {
        "id": "checkout",
        "metric": "flow-failure-rate",
        "subject": "checkout",
        "threshold": "0,1",
        "severity": "critical",
        "windowMs": "10",
        "windowMs.unit": "min",
        "minimum": "20",
        "durationMs": "2",
        "durationMs.unit": "min",
        "cooldownMs": "1",
        "cooldownMs.unit": "h",
        "to[0].channel": "console",
        "to[0].to": "#ops",
        "quietHours.from": "22:00",
        "quietHours.until": "07:00",
        "quietHours.timezone": "America/Sao_Paulo",
    }
    done = await browser.submit(page, LIST, given)
    assert "The rule “checkout” is saved." in done.text
    found = (await api.get("/alerts/checkout")).data
    assert found == {
        "id": "checkout", "metric": "flow-failure-rate", "threshold": 0.1, "windowMs": 600_000, "minimum": 20,
        "durationMs": 120_000, "cooldownMs": 3_600_000, "severity": "critical", "code": None, "subject": "checkout",
        "to": [{"channel": "console", "to": "#ops"}],
        "quietHours": {
            "from": "22:00", "until": "07:00", "timezone": "America/Sao_Paulo", "days": [1, 2, 3, 4, 5, 6, 7],
        },
        "enabled": True, "silencedUntil": None, "standard": False,
    }  # fmt: skip
    again = await browser.submit(await browser.open("/alerts/checkout"), f"{LIST}/checkout")
    assert "is saved" in again.text
    assert (await api.get("/alerts/checkout")).data == found


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no id": ({"id": ""}, "id"),
    "an id that exists": ({"id": "mine"}, "id"),
    "an unknown metric": ({"metric": "speed"}, "metric"),
    "a finding without its code": ({"metric": "finding"}, "code"),
    "a code without a finding": ({"code": "a"}, "code"),
    "no threshold": ({"threshold": "0"}, "threshold"),
    "a threshold that is no number": ({"threshold": "many"}, "threshold"),
    "an unknown severity": ({"severity": "deadly"}, "severity"),
    "a window that is too short": ({"windowMs": "1", "windowMs.unit": "s"}, "windowMs"),
    "a window that is no number": ({"windowMs": "x"}, "windowMs"),
    "no minimum": ({"minimum": "0"}, "minimum"),
    "a negative duration": ({"durationMs": "-1"}, "durationMs"),
    "a long pause": ({"cooldownMs": "99", "cooldownMs.unit": "d"}, "cooldownMs"),
    "an unknown channel": ({"to[0].channel": "none", "to[0].to": "a"}, "to-0-channel"),
    "no recipient": ({"to[0].channel": "console"}, "to"),
    "half of the quiet hours": ({"quietHours.from": "22:00"}, "quietHours"),
    "a wrong time": ({"quietHours.from": "25:00", "quietHours.until": "07:00"}, "quietHours-from"),
    "equal times": ({"quietHours.from": "07:00", "quietHours.until": "07:00"}, "quietHours-until"),
    "an unknown zone": (
        {"quietHours.from": "22:00", "quietHours.until": "07:00", "quietHours.timezone": "Mars"}, "quietHours-timezone",
    ),
}  # fmt: skip


async def test_each_error_is_shown_at_its_field(api: Api, browser: Browser) -> None:
    """What was typed stays, and nothing is stored."""
    await stored(api)
    page = await browser.open("/alerts/new?metric=dead-letters")
    before = len((await api.get("/alerts")).data)
    for case, (fields, wrong) in WRONG.items():
        shown = await browser.submit(page, LIST, {"id": "next"} | fields, status=422)
        assert re.search(rf'id="field-{wrong}[^"]*-error"', shown.html), case
        for name, text in fields.items():
            assert shown.form(LIST).fields[name] == text, case
    assert len((await api.get("/alerts")).data) == before


async def test_a_standard_rule_is_changed_and_restored(api: Api, browser: Browser) -> None:
    page = await browser.open("/alerts/late-queue")
    assert "It exists from the start." in page.text
    assert f"{LIST}/late-queue/delete" not in [form.action for form in page.forms]
    fields = page.form(f"{LIST}/late-queue").fields
    fields.pop("enabled")
    done = await browser.submit(page, f"{LIST}/late-queue", {"threshold": "60"})
    assert "disabled" in done.text
    found = (await api.get("/alerts/late-queue")).data
    assert (found["threshold"], found["enabled"], found["standard"]) == (60, False, False)
    await browser.submit(done, f"{LIST}/late-queue/delete")
    assert (await api.get("/alerts/late-queue")).data["standard"] is True


async def test_the_list_shows_what_fires(api: Api, browser: Browser) -> None:
    """Shares are in percent; a hostile sentence is text."""
    empty = await browser.open("/alerts")
    assert "Nothing fires." in empty.text
    await stored(api)
    await fired(api, "failing-flow", "firing")
    await fired(api, "late-queue", "pending", "flow")
    await fired(api, "no-worker", "resolved", "webhook")
    page = await browser.open("/alerts")
    for text in ("fires", "about to fire", "over", "25 %", HOSTILE, "console:#ops", "those of ALERT_TO"):
        assert text in page.text, text
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    shown = await browser.open("/alerts/failing-flow")
    assert "checkout" in shown.text
    assert "It has not fired." in (await browser.open("/alerts/redis-memory")).text
    portuguese = await browser.open("/alerts", headers={"Accept-Language": "pt-BR"})
    assert "prestes a disparar" in portuguese.text


async def test_a_rule_is_silenced_for_a_while(api: Api, browser: Browser) -> None:
    """For an hour, for eight, until a time; and the silence is ended."""
    await stored(api)
    path = f"{LIST}/mine/silence"
    page = await browser.open("/alerts/mine")
    for chosen, hours in (("1h", 1), ("8h", 8)):
        page = await browser.submit(page, path, {"for": chosen})
        until = datetime.fromisoformat((await api.get("/alerts/mine")).data["silencedUntil"])
        assert abs(until - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=5)
        assert "silenced" in page.text
    later = datetime.now(UTC) + timedelta(days=2)
    page = await browser.submit(page, path, {"for": "until", "until": f"{later:%Y-%m-%dT%H:%M}"})
    assert (await api.get("/alerts/mine")).data["silencedUntil"].startswith(f"{later:%Y-%m-%dT%H:%M}")
    wrong = await browser.submit(page, path, {"for": "until", "until": "soon"})
    assert "This did not work" in wrong.text
    page = await browser.submit(wrong, path, {"for": ""})
    assert (await api.get("/alerts/mine")).data["silencedUntil"] is None
    assert "End the silence" not in page.text


async def test_a_test_alert_is_sent(api: Api, browser: Browser) -> None:
    """Only where the rule has recipients."""
    await stored(api)
    page = await browser.open("/alerts/mine")
    done = await browser.submit(page, f"{LIST}/mine/test")
    assert "1 test message is being sent." in done.text
    assert (await api.get("/notifications")).data[0]["channelId"] == "console"
    assert "Send a test alert" not in (await browser.open("/alerts/no-worker")).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_what_each_role_may_do(api: Api, role: str) -> None:
    """Operators silence and test; only admins change rules. The server refuses the others."""
    await stored(api)
    async with visited(api, role) as other:
        page = await other.open("/alerts/mine")
        shown = {form.action for form in page.forms if "/alerts/" in form.action}
        assert shown == ({f"{LIST}/mine/silence", f"{LIST}/mine/test"} if role == "operator" else set())
        assert f"{LIST}/new" not in (await other.open("/alerts")).links
        await other.open("/alerts/new", status=403)
        refused = ["/alerts", "/alerts/mine", "/alerts/mine/delete"]
        for path in [*refused, *(("/alerts/mine/silence", "/alerts/mine/test") if role == "viewer" else ())]:
            await other.post(path, {"id": "x", "metric": "dead-letters", "for": "1h"}, status=403)
    assert (await api.get("/alerts/mine")).data["silencedUntil"] is None
