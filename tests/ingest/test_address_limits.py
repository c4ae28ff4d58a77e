"""Limits per address: who is counted together, and whom failures block."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from ingest.http.client_address import ClientAddress
from ingest.receive.untrusted_proxies import EVERY_S, KEY, UntrustedProxies, read_untrusted_proxy
from tests.captured_logs import captured_logs
from tests.ingest.api.serving import serving as serving_api
from tests.ingest.serving import Serving, serving, webhook
from tests.ingest.test_fuzzed_requests import vendor_webhook
from tests.ingest.test_receive import META
from tests.ingest.verify.vendors import VENDORS
from tests.waiting import eventually

GUARDED, OTHER = (webhook(name, auth={"type": "bearer", "secrets": ["t"]}) for name in ("guarded", "other"))
GITHUB = vendor_webhook("github", VENDORS["github"])
PROXIES: dict[str, Any] = {"trusted_proxies": [ip_network("127.0.0.0/8")]}


async def status(app: Serving, path: str, address: str, headers: dict[str, str], body: bytes = b"{}") -> int:
    """Returns the status of the answer to a request from `address`."""
    async with app.request("POST", path, data=body, headers=headers | {"X-Forwarded-For": address}) as answer:
        found: int = answer.status
        return found


async def test_failures_at_one_webhook_block_nothing_elsewhere(redis_url: str, postgres_dsn: str) -> None:
    """All senders behind a proxy that is not trusted have one address. The others keep their webhooks."""
    right, wrong = {"Authorization": "Bearer t"}, {"Authorization": "Bearer x"}
    async with serving(redis_url, postgres_dsn, GUARDED, OTHER, **PROXIES, failures_per_address=3) as app:
        assert [await status(app, "guarded", "203.0.113.1", wrong) for _ in range(5)] == [401, 401, 401, 429, 429]
        assert await status(app, "guarded", "203.0.113.1", right) == 429  # a token could be found by trying
        assert await status(app, "other", "203.0.113.1", right) == 200
        assert await status(app, "other", "203.0.113.1", wrong) == 401


async def test_a_valid_signature_is_accepted_from_a_blocked_address(redis_url: str, postgres_dsn: str) -> None:
    """A signature cannot be found by trying. Wrong ones are answered 429, and so is each challenge."""
    vendor = VENDORS["github"]
    wrong = {vendor.signed: "sha256=" + "0" * 64}
    options: dict[str, Any] = {**PROXIES, "failures_per_address": 3}
    async with serving(redis_url, postgres_dsn, GITHUB, META, **options) as app:
        assert [await status(app, "github", "203.0.113.2", wrong) for _ in range(4)] == [401, 401, 401, 429]
        assert await status(app, "github", "203.0.113.2", vendor.headers(), vendor.body) == 200
        assert await status(app, "github", "203.0.113.2", wrong) == 429
        with captured_logs() as logged:
            assert [await status(app, "whatsapp", "203.0.113.2", wrong) for _ in range(4)] == [401, 401, 401, 429]
        [entry] = [entry for entry in logged if entry["event"] == "webhook.address_blocked"]
        assert (entry["address"], entry["webhook_id"]) == ("203.0.113.2", "whatsapp")
        challenge = "whatsapp?hub.mode=subscribe&hub.verify_token=a%20token&hub.challenge=x"
        async with app.request("GET", challenge, headers={"X-Forwarded-For": "203.0.113.2"}) as answer:
            assert answer.status == 429


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
    ],
)
async def test_a_client_is_counted_by_its_network(
    redis_url: str, postgres_dsn: str, first: str, same: str, other: str
) -> None:
    """An IPv6 client has a /64. An IPv4-mapped address is the IPv4 address. In both limits."""
    wrong = {"Authorization": "Bearer x"}
    async with serving(redis_url, postgres_dsn, GUARDED, **PROXIES, failures_per_address=2) as app:
        assert [await status(app, "guarded", one, wrong) for one in (first, same, first)] == [401, 401, 429]
        assert await status(app, "guarded", other, wrong) == 401
    async with serving(redis_url, postgres_dsn, GUARDED, **PROXIES, requests_per_address=2) as app:
        right = {"Authorization": "Bearer t"}
        assert [await status(app, "guarded", one, right) for one in (first, same, first)] == [200, 200, 429]
        assert await status(app, "guarded", other, right) == 200


async def test_a_proxy_that_is_not_trusted_is_reported(redis_url: str, postgres_dsn: str) -> None:
    """In the log once, and by the doctor, with the variable to set."""
    async with serving(redis_url, postgres_dsn, GUARDED) as app, serving_api(redis_url, postgres_dsn) as api:

        async def finding() -> dict[str, Any]:
            data = (await api.get("/doctor")).data
            found: dict[str, Any] = next(one for one in data["parts"] if one["part"] == "proxies")
            return found

        assert (await finding())["ok"] is True
        with captured_logs() as logged:
            for _ in range(3):
                assert await status(app, "guarded", "203.0.113.1", {"Authorization": "Bearer x"}) == 401
        [entry] = [entry for entry in logged if entry["event"] == "client_address.untrusted_proxy"]
        assert (entry["peer"], entry["variable"]) == ("127.0.0.1", "TRUSTED_PROXIES")

        async def reported() -> bool:
            return await read_untrusted_proxy(app.redis) is not None

        await eventually(reported)
        assert 0 < int(await app.redis.command("TTL", KEY)) <= 3600
        found = await finding()
        assert (found["ok"], "127.0.0.1" in found["detail"]) == (False, True)
        [reason] = [one for one in (await api.get("/doctor")).data["findings"] if one["code"] == "proxy-not-trusted"]
        assert ("127.0.0.1" in reason["message"], "TRUSTED_PROXIES" in reason["remedy"]) == (True, True)
        assert "Bearer" not in json.dumps(found)


class _NoRedis:
    """Counts commands."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    async def command(self, _name: str, _key: str, peer: str, *_arguments: object) -> None:
        self.peers.append(peer)


async def test_only_what_can_be_a_proxy_of_ours_is_reported() -> None:
    """At most once a minute. Where proxies are trusted, a public address is a sender that sends the header itself."""
    now = 0.0
    redis: Any = _NoRedis()
    forwarded = {"X-Forwarded-For": "203.0.113.1"}
    proxies = UntrustedProxies(ClientAddress([ip_network("10.0.0.0/8")]), redis, lambda: now)
    open_to_all = UntrustedProxies(ClientAddress([]), redis, lambda: now)
    for detector, peer, headers in (
        (proxies, "10.0.0.1", forwarded),
        (proxies, "93.184.216.34", forwarded),
        (proxies, "192.168.0.1", {}),
        (open_to_all, "192.168.0.1", {"Host": "x"}),
        (open_to_all, "unknown", forwarded),
    ):
        detector.notice(peer, headers)
    assert redis.peers == []
    for _ in range(2):
        proxies.notice("192.168.0.1", {"Forwarded": "for=203.0.113.1"})
        open_to_all.notice("93.184.216.34", forwarded)
        now += EVERY_S - 1

    async def written() -> bool:
        return bool(redis.peers == ["192.168.0.1", "93.184.216.34"])

    await eventually(written)
