"""The cookie of a session: who accepts it, its names, its end."""

import base64
import json
import time
from typing import Any

import aiohttp
import msgspec
import pytest

from filas.crypto.signed_values import Signer
from ingest.dashboard.sessions import session_cookie
from ingest.dashboard.sessions.session_cookie import Session
from tests.ingest.api.serving import SECRET_KEY, TOKEN
from tests.ingest.dashboard.sessions_serving import PLAIN, PROTECTED, Dashboard, dashboard

CHROMIUM = {"User-Agent": "Mozilla/5.0 Chrome/140", "Sec-Fetch-Site": "same-origin"}
SAFARI = {"User-Agent": "Mozilla/5.0 Version/17.4 Safari/605.1.15"}


def changed(running: Dashboard, value: str, signer: Signer | None = None, **fields: Any) -> str:
    """The cookie with other content, signed by `signer`; without one, with the old signature."""
    session = running.sessions.read(value)
    assert session is not None
    content = msgspec.json.encode(msgspec.structs.replace(session, **fields))
    if signer is not None:
        return signer.sign(content)
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode() + "." + value.partition(".")[2]


async def test_only_an_unchanged_cookie_is_accepted(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        value = (await running.sign_in()).cookie
        content, _, mac = value.partition(".")
        other_key = Signer("another secret key", "dashboard session")
        other_purpose = Signer(SECRET_KEY, "sign-in link")
        wrong = {
            "expiry": changed(running, value, expires_at=2**40),
            "csrf": changed(running, value, csrf="chosen"),
            "other key": changed(running, value, other_key),
            "other purpose": changed(running, value, other_purpose),
            "no signature": content,
            "empty signature": f"{content}.",
            "short signature": f"{content}.{mac[:20]}",
            "padded": f"{content}.{mac}=",
            "other text of the same bytes": value[:-1] + chr(ord(value[-1]) + 1),
            "twice": f"{value}.{mac}",
            "swapped": f"{mac}.{content}",
            "long": content + "A" * 4000 + "." + mac,
            "json": json.dumps({"key_id": None}).replace('"', "").replace(" ", ""),
            "empty": "",
            "alg none": "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.",
            "other content": Signer(SECRET_KEY, "dashboard session").sign(b'{"role":"admin"}'),
            "no content": Signer(SECRET_KEY, "dashboard session").sign(b""),
            "bytes": Signer(SECRET_KEY, "dashboard session").sign(b"\xff\x00"),
        }
        for what, cookie in wrong.items():
            assert (await running.get("/dashboard/", cookie)).status == 303, what
        assert (await running.get("/dashboard/", value)).status == 200


async def test_a_cookie_is_not_encrypted_and_has_no_secret_of_the_client(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        value = (await running.sign_in()).cookie
        content = base64.urlsafe_b64decode(value.partition(".")[0] + "==")
        assert TOKEN.encode() not in content
        assert len(value) < 500


@pytest.mark.parametrize("size", [5_000, 2**20])
async def test_a_huge_cookie_is_refused(redis_url: str, postgres_dsn: str, size: int) -> None:
    """By us up to the limit of the server's headers, and by the server beyond it. The process goes on."""
    async with dashboard(redis_url, postgres_dsn) as running:
        try:
            page = await running.get("/dashboard/", "A" * size + "." + "A" * 43)
        except aiohttp.ClientError:  # the server closes the connection while the client still sends
            assert size == 2**20
        else:
            assert page.status == (303 if size < 8_000 else 400)
        assert (await running.sign_in()).status == 303


async def test_an_expired_session_leads_to_the_form_and_loses_its_cookie(redis_url: str, postgres_dsn: str) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        value = (await running.sign_in()).cookie
        signer = Signer(SECRET_KEY, "dashboard session")
        expired = changed(running, value, signer, expires_at=int(time.time()) - 1)
        page = await running.get("/dashboard/events", expired)
        assert page.location == "/dashboard/sign-in?next=/dashboard/events"
        assert page.cookies()[PROTECTED][0] == ""
        good = changed(running, value, signer, expires_at=int(time.time()) + 60)
        assert (await running.get("/dashboard/events", good)).status == 200


async def test_a_session_in_use_is_renewed_for_at_most_seven_days(redis_url: str, postgres_dsn: str) -> None:
    """Its CSRF token stays, so that forms in other tabs stay valid."""
    async with dashboard(redis_url, postgres_dsn) as running:
        value = (await running.sign_in()).cookie
        signer, now = Signer(SECRET_KEY, "dashboard session"), int(time.time())
        assert (await running.get("/dashboard/", value)).cookies() == {}
        older = changed(running, value, signer, expires_at=now + 3600, signed_in_at=now - 40_000)
        page = await running.get("/dashboard/", older)
        before, after = running.sessions.read(older), running.sessions.read(page.cookie)
        assert before is not None
        assert after is not None
        assert after == msgspec.structs.replace(before, expires_at=after.expires_at)
        assert 12 * 3600 - 60 <= after.expires_at - now <= 12 * 3600 + 60
        csrf = page.text.split()[-1]
        ended = await running.post("/dashboard/sign-out", {"csrf": csrf}, older)
        assert ended.cookies()[PROTECTED][0] == ""
        assert (await running.get("/dashboard/", page.cookie)).status == 303
    last = Session(id=before.id, identity=before.identity, csrf="x", signed_in_at=0, expires_at=7 * 86_400 - 100)
    assert session_cookie.renewed(last, 7 * 86_400 - 200.0) is None
    assert session_cookie.expiry(0, 7 * 86_400 - 200.0) == 7 * 86_400


async def test_without_tls_and_loopback_the_name_is_plain_and_the_page_warns(redis_url: str, postgres_dsn: str) -> None:
    """A browser would refuse the protected cookie, and the sign-in would lead to itself."""
    async with dashboard(redis_url, postgres_dsn) as running:
        headers = {"Host": "filas.example:8081"}
        form = await running.get("/dashboard/sign-in", headers=headers)
        assert "not encrypted" in form.text
        page = await running.post("/dashboard/sign-in", {"token": TOKEN}, headers=headers)
        [(name, (value, attributes))] = page.cookies().items()
        assert (name, "secure" in attributes.lower(), "httponly" in attributes.lower()) == (PLAIN, False, True)
        assert (await running.get("/dashboard/", value, name=PLAIN, headers=headers)).status == 200
        assert "not encrypted" not in (await running.get("/dashboard/sign-in")).text


@pytest.mark.parametrize(
    ("trusted", "headers", "name"),
    [
        (["127.0.0.0/8"], {"Host": "filas.example", "X-Forwarded-Proto": "https"}, PROTECTED),
        (["127.0.0.0/8"], {"Host": "filas.example", "X-Forwarded-Proto": "http"}, PLAIN),
        (["127.0.0.0/8"], {"Host": "filas.example", "X-Forwarded-Proto": "HTTPS, http"}, PROTECTED),
        (["127.0.0.0/8"], {"Host": "filas.example", "X-Forwarded-Proto": "javascript"}, PLAIN),
        ([], {"Host": "filas.example", "X-Forwarded-Proto": "https"}, PLAIN),
        (["203.0.113.0/24"], {"Host": "filas.example", "X-Forwarded-Proto": "https"}, PLAIN),
        ([], {"Host": "localhost:8081"} | CHROMIUM, PROTECTED),
        ([], {"Host": "127.0.0.1:8081"} | CHROMIUM, PROTECTED),
        ([], {"Host": "[::1]:8081"} | CHROMIUM, PROTECTED),
        ([], {"Host": "127.0.0.1:8081"} | SAFARI, PLAIN),
        (["127.0.0.0/8"], {"Host": "filas.example", "X-Forwarded-Proto": "https"} | SAFARI, PROTECTED),
        ([], {"Host": "192.0.2.7:8081"} | SAFARI, PLAIN),
    ],
)
async def test_the_name_depends_on_the_connection(
    redis_url: str, postgres_dsn: str, trusted: list[str], headers: dict[str, str], name: str
) -> None:
    """X-Forwarded-Proto counts from TRUSTED_PROXIES only. Safari accepts no Secure from its own machine without TLS."""
    async with dashboard(redis_url, postgres_dsn, trusted=trusted) as running:
        page = await running.post("/dashboard/sign-in", {"token": TOKEN}, headers=headers)
        assert list(page.cookies()) == [name]


async def test_over_tls_the_plain_name_is_not_accepted(redis_url: str, postgres_dsn: str) -> None:
    """Another site of the same domain may set a cookie with a plain name, but not one with the prefix `__Host-`."""
    async with dashboard(redis_url, postgres_dsn, trusted=["127.0.0.0/8"]) as running:
        tls = {"Host": "filas.example", "X-Forwarded-Proto": "https"}
        value = (await running.sign_in()).cookie
        assert (await running.get("/dashboard/", value, name=PLAIN, headers=tls)).status == 303
        assert (await running.get("/dashboard/", value, headers=tls)).status == 200
        assert (await running.get("/dashboard/", value, name=PLAIN)).status == 200
