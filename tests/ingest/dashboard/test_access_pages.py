"""The pages for admins: keys, sign-ins, and the audit with its differences."""

import re
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import pytest

from filas.contract.identity import new_id
from filas.models.access import NewAuditEntry, SignInFailures
from filas.repository.access.audit import AuditRepository
from ingest.dashboard.pages.access.entity_links import entity_address
from ingest.dashboard.presentation.differences import differences
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser, sign_in

CHANNEL = {"type": "http", "url": "https://example.com/a", "secret": "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
HOSTILE = '<script>alert(1)</script>\u202e"'
KEYS = "/dashboard/access/keys"
NOT_SIGNED_OUT = ">\u2013<"


async def test_a_key_is_created_and_shown_once(api: Api, browser: Browser) -> None:
    """It works, and no page shows its value again."""
    page = await browser.open("/access")
    created = await browser.submit(page, KEYS, {"name": "Ana", "role": "operator", "expiresAt": "2999-01-01T10:00"})
    found = re.search(r'<code id="new-key">(filas_\S+)</code>', created.html)
    assert found is not None
    assert (await api.get("/keys/current", token=found[1])).data["role"] == "operator"
    listed = await browser.open("/access")
    assert found[1] not in listed.html
    for text in ("Ana", "operator", "not used yet", "valid", found[1][:12]):
        assert text in listed.text
    [key] = (await api.get("/keys")).data
    assert key["expiresAt"] == "2999-01-01T10:00:00Z"


WRONG = {
    "no name": ({"name": " ", "role": "viewer"}, "name"),
    "a reserved name": ({"name": "admin token", "role": "viewer"}, "name"),
    "a time in the past": ({"name": "Ana", "role": "viewer", "expiresAt": "2001-01-01T00:00"}, "expiresAt"),
    "no time": ({"name": "Ana", "role": "viewer", "expiresAt": "soon"}, "expiresAt"),
    "an unknown role": ({"name": "Ana", "role": "owner"}, "role"),
}


async def test_a_wrong_key_is_explained_at_its_field(api: Api, browser: Browser) -> None:
    """What was typed stays, and nothing is stored."""
    page = await browser.open("/access")
    for case, (fields, wrong) in WRONG.items():
        shown = await browser.submit(page, KEYS, fields, status=422)
        assert f'id="field-{wrong}-error"' in shown.html, case
        assert shown.form(KEYS).fields["name"].strip() == fields["name"].strip()
    assert (await api.get("/keys")).data == []


async def test_a_key_is_revoked(api: Api, browser: Browser) -> None:
    """It is asked for first; the key is refused at once."""
    key = (await api.post("/keys", {"name": "Ben", "role": "viewer"})).data
    page = await browser.open("/access")
    assert "Revoke the key “Ben”?" in page.text
    done = await browser.submit(page, f"{KEYS}/{key['id']}/revoke")
    assert "The key “Ben” is revoked." in done.text
    assert f"{KEYS}/{key['id']}/revoke" not in [form.action for form in done.forms]
    assert (await api.get("/keys/current", token=key["key"])).status == 401
    again = await browser.submit(page, f"{KEYS}/{key['id']}/revoke")
    assert "the key is revoked already" in again.text


async def test_a_sign_in_link_signs_in(api: Api, browser: Browser) -> None:
    page = await browser.open("/access")
    shown = await browser.submit(page, "/dashboard/access/sign-in-links")
    found = re.search(r"<code>(http://127\.0\.0\.1:\d+/dashboard/sign-in\?once=[^<]+)</code>", shown.html)
    assert found is not None
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session, session.get(found[1]) as answer:
        assert answer.status == 200


async def test_sign_ins_and_failures_are_shown(api: Api, browser: Browser) -> None:
    """Failures of an address are added up; those before the last day are not counted."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    await AuditRepository(api.database).add_failures(
        [
            SignInFailures(
                at=now - timedelta(hours=age), last_at=now - timedelta(hours=age), address=address, count=count
            )
            for age, address, count in ((1, "203.0.113.7", 3), (2, "203.0.113.7", 4), (30, "203.0.113.7", 100))
        ]
    )
    for action, session in (("signIn", "sessions/1"), ("signIn", "sessions/2"), ("signOut", "sessions/2")):
        entry = msgspec.structs.replace(_new(session, "Ana"), action=action, before=None, after=None)
        await AuditRepository(api.database).insert(entry)
    page = await browser.open("/access")
    sign_ins = page.html.partition('id="sign-ins"')[2].partition("</section>")[0]
    assert sign_ins.count("<tr data-row>") - sign_ins.count(NOT_SIGNED_OUT) >= 1
    assert sign_ins.count(NOT_SIGNED_OUT) >= 1
    assert re.search(r'203\.0\.113\.7</td><td class="amount">7</td>', page.html)
    assert "Ana" in sign_ins
    audit = await browser.open("/audit")
    assert "7 in the last day" in audit.text
    failures = await browser.open("/audit?action=signInFailed")
    assert failures.html.count("<tr data-row>") == 3
    assert "100 times" in failures.text


async def test_a_change_is_shown_as_a_difference(api: Api, browser: Browser) -> None:
    """In the list shortly, on its page whole; a secret on neither."""
    assert (await api.put("/channels/crm", CHANNEL)).status == 200
    changed = CHANNEL | {"url": "https://example.com/b"}
    assert (await api.put("/channels/crm", changed)).status == 200
    assert (await api.delete("/channels/crm")).status == 200
    page = await browser.open("/audit")
    assert "<del>https://example.com/a</del> → <ins>https://example.com/b</ins>" in page.html
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    entries = (await api.get("/audit?subject=channels/crm")).data
    deleted, shown, created = [await browser.open(f"/audit/{entry['id']}") for entry in entries]
    assert '<del dir="auto">https://example.com/a</del>' in shown.html
    assert '<ins dir="auto">https://example.com/b</ins>' in shown.html
    assert "channels/crm" in shown.text
    assert "revision" not in shown.html.partition("<h2>")[2].partition("<figure")[0]
    assert '<ins dir="auto">https://example.com/a</ins>' in created.html
    assert '<del dir="auto">https://example.com/b</del>' in deleted.html
    assert CHANNEL["secret"] not in page.html + shown.html
    assert f"filas audit show {entries[1]['id']}" in shown.text


async def test_filters_and_pages_of_the_audit(api: Api, browser: Browser) -> None:
    """By who, action, subject and time; the next page keeps them."""
    audit = AuditRepository(api.database)
    for number in range(55):
        await audit.insert(_new(f"webhooks/w{number}", "Ana"))
    await audit.insert(_new("flows/f", HOSTILE), datetime.now(UTC) - timedelta(days=3))
    page = await browser.open("/audit?who=Ana&subject=webhooks&action=putWebhook")
    assert page.html.count("<tr data-row>") == 50
    following = next(link for link in page.links if "cursor=" in link)
    assert "who=Ana" in following
    assert (await browser.open(following.removeprefix("/dashboard"))).html.count("<tr data-row>") == 5
    assert "filas audit list --who Ana --action putWebhook --subject webhooks" in page.text
    old = await browser.open(f"/audit?until={datetime.now(UTC) - timedelta(days=2):%Y-%m-%dT%H:%M}")
    assert HOSTILE in old.text
    assert "Nothing matches." in (await browser.open("/audit?who=Bea")).text
    assert "This part cannot be shown" in (await browser.open("/audit?since=yesterday")).text
    await browser.open(f"/audit/{new_id()}", status=404)


def _new(subject: str, who: str) -> NewAuditEntry:
    return NewAuditEntry(
        id=new_id(), who=who, key_id=None, role="admin", address="198.51.100.1", action="putWebhook", subject=subject,
        outcome="done", before={"path": "/a", "list": [1]}, after={"path": HOSTILE, "list": [1, 2]},
    )  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_only_admins_see_these_pages(api: Api, browser: Browser, role: str) -> None:
    """The navigation has no entry for others, and the server refuses every page and action."""
    key = (await api.post("/keys", {"name": role, "role": role})).data
    entry = (await api.get("/audit")).data[0]["id"]
    await api.context.access.keys.refresh()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        other = await sign_in(api, session, key["key"])
        assert "/dashboard/audit" not in (await other.open("/doctor")).links
        assert "/dashboard/audit" in (await browser.open("/doctor")).links
        for path in ("/audit", "/access", f"/audit/{entry}", "/audit?who=a"):
            assert "role" in (await other.open(path, status=403)).text
        for path in ("/access/keys", f"/access/keys/{key['id']}/revoke", "/access/sign-in-links"):
            await other.post(path, {"name": "Eve", "role": "admin"}, status=403)
    assert len((await api.get("/keys")).data) == 1


def test_differences_name_the_place_and_both_values() -> None:
    """Objects of a list are compared by their ids, so that a new node is one difference."""
    before = {"a": 1, "gone": "x", "nodes": [{"id": "n", "data": {"text": "Oi"}}], "to": ["a", "b"], "null": None}
    after = {
        "a": True,
        "nodes": [{"id": "m"}, {"id": "n", "data": {"text": "Olá"}}],
        "to": ["a"],
        "null": None,
        "new": 2**60,
    }
    found = [(one.kind, one.place, one.before, one.after) for one in differences(before, after)]
    assert found == [
        ("changed", "a", "1", "true"),
        ("removed", "gone", "x", ""),
        ("changed", "nodes.n.data.text", "Oi", "Olá"),
        ("added", "nodes.m", "", '{"id":"m"}'),
        ("removed", "to[1]", "b", ""),
        ("added", "new", "", str(2**60)),
    ]
    assert differences({"revision": 1}, {"revision": 2}, without=frozenset({"revision"})) == []
    assert [one.place for one in differences(None, {"a": 1})] == ["a"]
    assert len(differences({}, {str(number): 1 for number in range(2000)})) == 500


def test_a_subject_leads_to_its_page_where_there_is_one() -> None:
    sections = frozenset({"webhooks", "queues", "dead-letters"})
    cases = {
        "webhooks/shop": "/dashboard/webhooks/shop",
        "queue/flow/pause": "/dashboard/queues/flow",
        "jobs/{flow}:1/2": "/dashboard/jobs/%7Bflow%7D%3A1%2F2",
        "replays/1": "/dashboard/replays/1",
        "keys/1": "/dashboard/access",
        "flows/f": "",
        "webhooks": "",
        "database": "",
    }
    assert {subject: entity_address(subject, sections) for subject in cases} == cases
