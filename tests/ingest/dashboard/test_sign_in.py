"""Sign-in with a key or the admin token, and sign-out."""

import asyncio
from typing import Any

import pytest

from filas.contract.identity import new_id
from filas.crypto import api_keys
from filas.errors import StoreUnavailable
from filas.models.access import NewApiKey, Role
from filas.repository.access.api_keys import ApiKeyRepository
from filas_local.servers import PostgresServer
from tests.freezing import frozen
from tests.ingest.api.serving import SECRET_KEY, TOKEN
from tests.ingest.dashboard.sessions_serving import PLAIN, PROTECTED, Dashboard, dashboard
from tests.waiting import eventually


async def new_key(running: Dashboard, role: Role = "viewer", name: str = "Ana") -> tuple[str, Any]:
    """A new key that the process knows: its value and its id."""
    value = api_keys.new_key()
    key = NewApiKey(
        id=new_id(), name=name, role=role, prefix=value[: api_keys.SHOWN], hash=running.access.hasher.hash(value),
        created_by="a test", expires_at=None,
    )  # fmt: skip
    await ApiKeyRepository(running.database).create(key)
    await running.access.keys.refresh()
    return value, key.id


async def test_the_admin_token_opens_a_session(redis_url: str, postgres_dsn: str) -> None:
    """The cookie has every attribute that dashboard.md requires, and leads back to the page."""
    async with dashboard(redis_url, postgres_dsn) as running:
        page = await running.sign_in(next="/dashboard/events?status=failed")
        assert page.location == "/dashboard/events?status=failed"
        [(name, (value, attributes))] = page.cookies().items()
        assert name == PROTECTED
        given = dict(one.strip().lower().partition("=")[::2] for one in attributes.split(";") if one)
        assert 43_000 <= int(given.pop("max-age")) <= 43_200
        assert given == {"httponly": "", "secure": "", "samesite": "lax", "path": "/"}
        assert (await running.get("/dashboard/", value)).text.startswith("admin token admin ")
        [entry] = await running.audit("signIn")
        assert (entry["who"], entry["role"], entry["address"]) == ("admin token", "admin", "127.0.0.1")
        assert entry["subject"].startswith("sessions/")
        assert not [secret for secret in (TOKEN, value) if secret in str(dict(entry))]


async def test_a_key_opens_a_session_with_its_role(redis_url: str, postgres_dsn: str) -> None:
    """Blanks around a pasted key do not matter."""
    async with dashboard(redis_url, postgres_dsn) as running:
        value, key_id = await new_key(running, "operator")
        page = await running.sign_in(f"  {value}\n")
        assert (await running.get("/dashboard/", page.cookie)).text.startswith("Ana operator ")
        [entry] = await running.audit("signIn")
        assert (entry["who"], entry["key_id"], entry["role"]) == ("Ana", key_id, "operator")


@pytest.mark.parametrize(
    "token",
    ["", " ", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "filas_" + "x" * 43, "não", "\x00", "🔑",
     "x" * 10_000],
)  # fmt: skip
async def test_a_wrong_token_opens_nothing(redis_url: str, postgres_dsn: str, token: str) -> None:
    """The page shows why, and the failure is in the audit, without the token."""
    async with dashboard(redis_url, postgres_dsn) as running:
        page = await running.sign_in(token, next="/dashboard/events")
        assert (page.status, page.cookies()) == (401, {})
        assert "not a valid API key" in page.text
        assert 'value="/dashboard/events"' in page.text
        [entry] = await running.audit("signInFailed")
        assert (entry["who"], entry["address"], entry["count"]) == ("unknown", "127.0.0.1", 1)


async def test_failures_are_limited_and_a_valid_key_is_accepted_all_the_same(redis_url: str, postgres_dsn: str) -> None:
    """By the address that the trusted proxy states. The limit is shared with the API, as is the audit."""
    async with dashboard(redis_url, postgres_dsn, failures_a_minute=3, trusted=["127.0.0.0/8"]) as running:

        async def attempt(token: str, address: str) -> Any:
            headers = {"X-Forwarded-For": address}
            return await running.post("/dashboard/sign-in", {"token": token}, headers=headers)

        pages = [await attempt("guess", "203.0.113.7") for _ in range(9)]  # a minute may end between two of them
        assert [page.status for page in pages[:3]] == [401] * 3
        limited = next(page for page in pages if page.status == 429)
        assert 1 <= int(limited.headers["Retry-After"]) <= 61
        assert "Try again in" in limited.text
        assert (await attempt("guess", "203.0.113.8")).status == 401
        assert (await attempt(TOKEN, "203.0.113.7")).status == 303


async def test_every_page_leads_to_the_form_and_back(redis_url: str, postgres_dsn: str) -> None:
    """Also with a query. A form leads back to the page that contains it, a stream is refused."""
    async with dashboard(redis_url, postgres_dsn) as running:
        asked = await running.get("/dashboard/conversations?q=%2B55%2011&page=2")
        assert asked.location == "/dashboard/sign-in?next=/dashboard/conversations%3Fq%3D%252B55%252011%26page%3D2"
        form = await running.get(asked.location)
        assert (form.status, 'value="/dashboard/conversations?q=%2B55%2011&amp;page=2"' in form.text) == (200, True)
        assert (await running.get("/dashboard/")).location == "/dashboard/sign-in"
        assert (await running.get("/dashboard//evil.example")).location == "/dashboard/sign-in"
        sent = await running.post(
            "/dashboard/queues/flow/pause",
            {"csrf": "x"},
            headers={"Referer": f"{running.url}/dashboard/queues?state=x"},
        )
        assert sent.location == "/dashboard/sign-in?next=/dashboard/queues%3Fstate%3Dx"
        for referer in ("http://[", "https://evil.example/x", ""):
            page = await running.post("/dashboard/x", {}, headers={"Referer": referer})
            assert page.location == "/dashboard/sign-in"
        stream = await running.get("/dashboard/live", headers={"Accept": "text/event-stream"})
        part = await running.get("/dashboard/", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
        assert (stream.status, part.status) == (401, 401)
        assert (await running.get("/dashboard/static/x")).text == "static"
        assert running.received == []


async def test_an_open_redirect_is_not_possible(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        for target in ("//evil.example", "/\\evil.example", "https://evil.example", "%2f%2fevil.example"):
            assert (await running.sign_in(next=target)).location == "/dashboard/"
            session = (await running.sign_in()).cookie
            assert (await running.get(f"/dashboard/sign-in?next={target}", session)).location == "/dashboard/"


async def test_sign_out_ends_the_session_also_for_a_copy_of_its_cookie(redis_url: str, postgres_dsn: str) -> None:
    """In every process. It is a POST with the CSRF token."""
    async with dashboard(redis_url, postgres_dsn) as one, dashboard(redis_url, postgres_dsn) as other:
        session = (await one.sign_in()).cookie
        csrf = (await other.get("/dashboard/", session)).text.split()[-1]
        await one.get("/dashboard/sign-out", session)
        assert (await one.post("/dashboard/sign-out", {}, session)).status == 403
        assert (await one.get("/dashboard/", session)).status == 200
        page = await one.post("/dashboard/sign-out", {"csrf": csrf}, session)
        assert page.location == "/dashboard/sign-in"
        assert {name: value for name, (value, _) in page.cookies().items()} == {PROTECTED: "", PLAIN: ""}
        assert (await one.get("/dashboard/", session)).status == 303

        async def is_refused() -> bool:
            return (await other.get("/dashboard/", session)).status == 303

        await eventually(is_refused)
        [entry] = await one.audit("signOut")
        assert entry["who"] == "admin token"
        another = (await one.sign_in()).cookie
        assert (await one.get("/dashboard/", another)).status == 200


async def test_a_revoked_key_ends_its_sessions(redis_url: str, postgres_dsn: str) -> None:
    """And another role of the key counts at the next request."""
    async with dashboard(redis_url, postgres_dsn) as running:
        value, key_id = await new_key(running, "operator")
        session = (await running.sign_in(value)).cookie
        await running.database.fetch("update api_keys set role = 'viewer' where id = $1", key_id)
        await running.access.keys.refresh()
        assert (await running.get("/dashboard/", session)).text.startswith("Ana viewer ")
        await ApiKeyRepository(running.database).revoke(key_id, "a test")
        await running.access.keys.refresh()
        assert (await running.get("/dashboard/", session)).status == 303


async def test_another_admin_token_or_secret_key_ends_the_sessions(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        session = (await running.sign_in()).cookie
    for token, key in (("another-long-and-random-token", SECRET_KEY), ("", SECRET_KEY), (TOKEN, "another long key")):
        async with dashboard(redis_url, postgres_dsn, admin_token=token, secret_key=key) as running:
            assert (await running.get("/dashboard/", session)).status == 303
    async with dashboard(redis_url, postgres_dsn) as running:
        assert (await running.get("/dashboard/", session)).status == 200


async def test_a_sign_in_never_continues_a_session_that_the_browser_has_sent(redis_url: str, postgres_dsn: str) -> None:
    """No session fixation: the session is new, and the one before it ends."""
    async with dashboard(redis_url, postgres_dsn) as running:
        value, _ = await new_key(running)
        first = (await running.sign_in(value)).cookie
        page = await running.post("/dashboard/sign-in", {"token": TOKEN}, first)
        assert page.cookie != first
        assert (await running.get("/dashboard/", page.cookie)).text.startswith("admin token ")
        assert (await running.get("/dashboard/", first)).status == 303
        made_up = await running.post("/dashboard/sign-in", {"token": TOKEN}, "chosen-by-someone")
        assert made_up.cookie != "chosen-by-someone"


@pytest.mark.timeout(240)
async def test_sign_in_works_while_postgres_does_not_answer(redis_url: str, own_postgres: PostgresServer) -> None:
    """With the admin token and with a key. Pages know their user, sign-out ends the session, and the audit has it all
    afterwards."""
    async with dashboard(redis_url, own_postgres.dsn("filas")) as running:
        value, _ = await new_key(running)
        old = (await running.sign_in()).cookie
        await running.audit("signIn")
        with frozen(own_postgres):
            async with asyncio.timeout(60):
                sessions = [(await running.sign_in(token)).cookie for token in (TOKEN, value)]
                assert (await running.sign_in("wrong")).status == 401
                texts = [(await running.get("/dashboard/", one)).text for one in (old, *sessions)]
                assert [text.rpartition(" ")[0] for text in texts] == ["admin token admin"] * 2 + ["Ana viewer"]
                csrf = texts[0].split()[-1]
                assert (await running.post("/dashboard/sign-out", {"csrf": csrf}, old)).status == 303
                assert (await running.get("/dashboard/", old)).location == "/dashboard/sign-in"

        async def is_stored() -> bool:
            return bool(await running.database.fetchval("select count(*) = 1 from revoked_tokens"))

        async def are_audited() -> bool:
            counts = await running.database.fetch("select action, count(*) as n from audit_entries group by action")
            return {row["action"]: row["n"] for row in counts} == {"signIn": 3, "signOut": 1, "signInFailed": 1}

        async def when_available(check: Any) -> bool:
            try:
                return bool(await check())
            except StoreUnavailable:
                return False

        await eventually(lambda: when_available(is_stored))
        await eventually(lambda: when_available(are_audited))
        assert (await running.get("/dashboard/", old)).status == 303


async def test_before_the_keys_were_read_only_the_admin_token_is_accepted(redis_url: str, postgres_dsn: str) -> None:
    """A process that starts while Postgres is unavailable cannot know which keys were revoked: 503, not 401."""
    async with dashboard(redis_url, postgres_dsn) as running:
        value, _ = await new_key(running)
        session = (await running.sign_in(value)).cookie
    async with dashboard(redis_url, postgres_dsn, reads_keys=False) as running:
        refused = await running.sign_in(value)
        assert (refused.status, "Postgres is unavailable" in refused.text) == (503, True)
        assert (await running.get("/dashboard/", session)).status == 503
        assert (await running.get("/dashboard/sign-in", session)).status == 200
        assert (await running.sign_in()).status == 303


async def test_the_form_is_in_the_language_of_the_browser(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        for language, title in (("pt-BR,pt;q=0.9", "Entrar no Filas"), ("en-GB", "Sign in to Filas")):
            page = await running.get("/dashboard/sign-in", headers={"Accept-Language": language})
            assert f"<h1>{title}</h1>" in page.text
