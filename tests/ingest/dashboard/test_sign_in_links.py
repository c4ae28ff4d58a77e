"""Sign-in links: once, for five minutes, on the machine on which Filas runs."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from filas.errors import StoreUnavailable
from filas.repository.access.api_keys import ApiKeyRepository
from filas.repository.access.revoked_tokens import RevokedTokenRepository
from filas.repository.executions.execution_search import ExecutionSearch
from ingest.access import sign_in_links
from ingest.access.authentication import ADMIN, Client
from ingest.dashboard.sessions.first_page import newest_demo_execution
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_conversations import conversation, said
from tests.ingest.dashboard.sessions_serving import Dashboard, dashboard
from tests.ingest.dashboard.test_sign_in import new_key

OPENED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""What a browser sends when its user opens an address from another program, types it or pastes it."""


def link(running: Dashboard, client: Client = ADMIN) -> str:
    """A new link: its path."""
    token, _ = running.access.sign_in_links.create(client)
    return f"/dashboard/sign-in?once={token}"


def token_of(path: str) -> str:
    """The token in a link."""
    return path.partition("once=")[2].partition("&")[0]


async def test_opening_the_link_signs_in_once(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        path = link(running)
        page = await running.get(path, headers=OPENED)
        assert page.location == "/dashboard/"
        assert (await running.get("/dashboard/", page.cookie)).text.startswith("admin token admin ")
        [entry] = await running.audit("signIn")
        assert '"link"' in entry["after"]
        assert token_of(path) not in str(dict(entry))
        again = await running.get(path, headers=OPENED)
        assert (again.status, again.cookies(), "filas dashboard" in again.text) == (403, {}, True)
        reloaded = await running.get(path, page.cookie, headers=OPENED)
        assert (reloaded.location, reloaded.cookies()) == ("/dashboard/", {})
        assert (await running.audit("signInFailed"))[0]["who"] == "unknown"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        OPENED | {"Sec-Purpose": "prefetch"},
        OPENED | {"Sec-Purpose": "prefetch;prerender"},
        OPENED | {"Purpose": "prefetch"},
        OPENED | {"X-Moz": "prefetch"},
        OPENED | {"Sec-Fetch-Site": "cross-site"},
        OPENED | {"Sec-Fetch-Site": "same-origin"},
        OPENED | {"Sec-Fetch-Mode": "no-cors"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0"},
    ],
)
async def test_looking_at_the_link_does_not_use_it(redis_url: str, postgres_dsn: str, headers: dict[str, str]) -> None:
    """A preview, a scanner, a prefetch and an older browser get a button, which signs in."""
    async with dashboard(redis_url, postgres_dsn) as running:
        path = link(running)
        for method in ("GET", "GET", "HEAD"):
            page = await running.request(method, path, headers=headers)
            assert (page.status, page.cookies()) == (200, {})
        page = await running.get(path, headers=headers)
        assert "admin token" in page.text
        assert f'value="{token_of(path)}"' in page.text
        pressed = await running.post("/dashboard/sign-in", {"once": token_of(path), "next": ""})
        assert pressed.location == "/dashboard/"
        assert (await running.get("/dashboard/", pressed.cookie)).status == 200
        assert (await running.post("/dashboard/sign-in", {"once": token_of(path)})).status == 403


async def test_of_many_uses_at_the_same_time_one_signs_in(redis_url: str, postgres_dsn: str) -> None:
    """In two processes."""
    async with dashboard(redis_url, postgres_dsn) as one, dashboard(redis_url, postgres_dsn) as other:
        path = link(one)
        uses = (running.get(path, headers=OPENED) for _ in range(8) for running in (one, other))
        pages = await asyncio.gather(*uses)
        statuses = [page.status for page in pages]
        assert statuses.count(303) == 1
        assert set(statuses) <= {303, 403, 503}  # 503: on a busy machine, no connection to Postgres is free in time


async def test_a_link_is_valid_for_five_minutes(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(minutes=5) == sign_in_links.VALID_FOR
    async with dashboard(redis_url, postgres_dsn) as running:
        monkeypatch.setattr(sign_in_links, "VALID_FOR", timedelta(seconds=-1))
        path = link(running)
        for headers in ({}, OPENED):
            page = await running.get(path, headers=headers)
            assert (page.status, page.cookies()) == (403, {})
        assert (await running.post("/dashboard/sign-in", {"once": token_of(path)})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "filas.example"},
        {"Host": "192.0.2.7:8081"},
    ],
)
@pytest.mark.parametrize("trusted", [[], ["127.0.0.0/8"]])
async def test_a_link_is_refused_that_comes_through_a_proxy(
    redis_url: str, postgres_dsn: str, headers: dict[str, str], trusted: list[str]
) -> None:
    """A reader of a log elsewhere cannot use it. It stays valid."""
    async with dashboard(redis_url, postgres_dsn, trusted=trusted) as running:
        path = link(running)
        for way in (headers, headers | OPENED):
            page = await running.get(path, headers=way)
            assert (page.status, page.cookies()) == (403, {})
        page = await running.post("/dashboard/sign-in", {"once": token_of(path)}, headers=headers)
        assert (page.status, page.cookies()) == (403, {})
        assert (await running.get(path, headers=OPENED)).status == 303


async def test_a_link_is_refused_that_comes_from_another_machine(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.dashboard.sessions.request_origin.is_loopback", lambda _: False)
    async with dashboard(redis_url, postgres_dsn) as running:
        page = await running.get(link(running), headers=OPENED)
        assert (page.status, "on the machine on which Filas runs" in page.text) == (403, True)


@pytest.mark.parametrize("once", ["x", "x.y", "%00", "<script>alert(1)</script>", "A" * 5000, "é"])
async def test_a_wrong_link_signs_in_no_one(redis_url: str, postgres_dsn: str, once: str) -> None:
    """Neither does the cookie of a session in its place."""
    async with dashboard(redis_url, postgres_dsn) as running:
        session = (await running.sign_in()).cookie
        for given in (once, session):
            for headers in ({}, OPENED):
                page = await running.request("GET", "/dashboard/sign-in", params={"once": given}, headers=headers)
                assert (page.status, page.cookies(), "<script>" in page.text) == (403, {}, False)
            page = await running.post("/dashboard/sign-in", {"once": given})
            assert (page.status, page.cookies()) == (403, {})


async def test_a_link_leads_to_a_page_of_the_dashboard(redis_url: str, postgres_dsn: str) -> None:
    """The one that it names, or the first page."""

    async def first() -> str:
        return "/dashboard/executions/1"

    async with dashboard(redis_url, postgres_dsn, first_page=first) as running:
        assert (await running.get(link(running), headers=OPENED)).location == "/dashboard/executions/1"
        named = await running.get(f"{link(running)}&next=/dashboard/queues", headers=OPENED)
        foreign = await running.get(f"{link(running)}&next=//evil.example", headers=OPENED)
        assert (named.location, foreign.location) == ("/dashboard/queues", "/dashboard/")
        assert (await running.sign_in()).location == "/dashboard/"


async def test_the_link_of_a_key_signs_in_with_the_key(redis_url: str, postgres_dsn: str) -> None:
    """And not after the key was revoked."""
    async with dashboard(redis_url, postgres_dsn) as running:
        _, key_id = await new_key(running, "admin", "Ben")
        client = Client("Ben", "admin", key_id)
        page = await running.get(link(running, client), headers=OPENED)
        assert (await running.get("/dashboard/", page.cookie)).text.startswith("Ben admin ")
        path = link(running, client)
        await ApiKeyRepository(running.database).revoke(key_id, "a test")
        await running.access.keys.refresh()
        assert (await running.get(path, headers=OPENED)).status == 403
        assert (await running.get("/dashboard/", page.cookie)).status == 303


async def test_while_postgres_is_unavailable_the_link_is_not_used(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No one can know whether it was used: 503. It is valid afterwards."""

    async def fail(*_: Any) -> None:
        raise StoreUnavailable("postgres", "gone")

    async with dashboard(redis_url, postgres_dsn) as running:
        path = link(running)
        with monkeypatch.context() as away:
            away.setattr(RevokedTokenRepository, "revoke", fail)
            page = await running.get(path, headers=OPENED)
            assert (page.status, page.cookies()) == (503, {})
        assert (await running.get(path, headers=OPENED)).status == 303


async def test_only_an_admin_creates_a_link(api: Api) -> None:
    """The audit has the link's expiry, and not its token."""
    created = (await api.post("/sign-in-links")).data
    assert set(created) == {"path", "expiresAt"}
    assert api.context.access.sign_in_links.client_of(token_of(created["path"])) == ADMIN
    [entry] = (await api.get("/audit?action=createSignInLink")).data
    assert (entry["who"], entry["after"]) == ("admin token", {"expiresAt": created["expiresAt"]})
    for role in ("viewer", "operator"):
        key = (await api.post("/keys", {"name": role, "role": role})).data["key"]
        assert (await api.post("/sign-in-links", token=key)).status == 403
    assert (await api.post("/sign-in-links", token=None)).status == 401


async def test_expired_rows_are_deleted(redis_url: str, postgres_dsn: str) -> None:
    """A day after they have expired, by the next one: clocks may differ."""
    async with dashboard(redis_url, postgres_dsn) as running:
        await running.get(link(running), headers=OPENED)
        insert = "insert into revoked_tokens select gen_random_uuid(), 'session', now() - $1::interval"
        for age in (timedelta(hours=23), timedelta(hours=25)):
            await running.database.fetch(insert, age)
        await running.get(link(running), headers=OPENED)
        assert await running.database.fetchval("select count(*) from revoked_tokens") == 3


async def test_the_first_page_is_the_newest_execution_of_the_demo(api: Api) -> None:
    """The overview before there is one, and while Postgres is unavailable."""
    search = ExecutionSearch(api.database)
    assert (await api.put("/flows/demo", FLOW)).status == 200
    one = await conversation(api, "5511987650001")
    await said(api, one, "of another flow")
    assert await newest_demo_execution(search) == "/dashboard/"
    await said(api, one, "oi", ago_s=60, flow_id="demo")
    newest = await said(api, one, "oi", ago_s=30, flow_id="demo")
    assert await newest_demo_execution(search) == f"/dashboard/executions/{newest}"
    await api.database.close()
    assert await newest_demo_execution(search) == "/dashboard/"
