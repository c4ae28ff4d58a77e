"""Each vendor's requests through the public listener: challenges, messages and duplicates."""

import time
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from filas.models.configuration import RateLimit
from filas_local.servers import PostgresServer
from tests.ingest.serving import BOX, Serving, serving, webhook
from tests.ingest.test_fuzzed_requests import vendor_webhook
from tests.ingest.verify.vendors import FORM_TYPE, SMS, VENDORS
from tests.waiting import eventually


async def post(app: Serving, name: str, body: bytes, **more: str) -> tuple[int, str]:
    """Posts the body with the vendor's signature. Returns status and text of the answer."""
    headers = VENDORS[name].headers(now=int(time.time()), body=body) | more
    async with app.request("POST", name, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_slacks_challenge_is_answered_if_its_signature_is_valid(redis_url: str, postgres_dsn: str) -> None:
    """The answer is the challenge as text. It is no event, and it does not count in the rate limit."""
    slack = webhook("slack", auth=vendor_webhook("slack", VENDORS["slack"]).auth, rate_limit=RateLimit(max=1))
    question = b'{"type":"url_verification","challenge":"3eZb<b>"}'
    async with serving(redis_url, postgres_dsn, slack) as app:
        for _ in range(3):
            assert await post(app, "slack", question) == (200, "3eZb<b>")
        status, _ = await post(app, "slack", question, **{"X-Slack-Signature": "v0=" + "0" * 64})
        assert status == 401
        assert await app.events.unfinished(0, 10) == []
        assert (await post(app, "slack", VENDORS["slack"].body))[0] == 200


async def test_githubs_ping_starts_nothing(redis_url: str, postgres_dsn: str) -> None:
    """The ping is answered, and every other event is accepted. A redelivery is a duplicate."""
    github = vendor_webhook("github", VENDORS["github"])
    async with serving(redis_url, postgres_dsn, github) as app:
        assert await post(app, "github", b"{}", **{"X-GitHub-Event": "ping"}) == (200, "pong")
        first, again = [await post(app, "github", b"{}") for _ in range(2)]
        assert ('"duplicate":false' in first[1], '"duplicate":true' in again[1]) == (True, True)
        (job,) = await app.jobs()
        assert (job["headers"]["x-github-event"], job["duplicateKey"]) == ("push", "d-1")
        assert "x-hub-signature-256" not in job["headers"]


@pytest.mark.parametrize("name", ["stripe", "shopify", "standard-webhooks", "telegram", "slack"])
async def test_a_repeated_request_of_a_vendor_is_a_duplicate(redis_url: str, postgres_dsn: str, name: str) -> None:
    """The vendor's own id identifies it, without a setting in the webhook. The signature is not stored."""
    async with serving(redis_url, postgres_dsn, vendor_webhook(name, VENDORS[name])) as app:
        answers = [await post(app, name, VENDORS[name].body) for _ in range(2)]
        assert [status for status, _ in answers] == [200, 200]
        assert ['"duplicate":true' in text for _, text in answers] == [False, True]
        (job,) = await app.jobs()
        assert VENDORS[name].signed.lower() not in job["headers"]


async def test_twilio_signs_the_address_of_a_trusted_proxy(redis_url: str, postgres_dsn: str) -> None:
    """If the proxy is trusted, the signed address is the proxy's; else it is that of the request."""
    twilio = webhook("sms", auth={"type": "twilio", "secrets": [BOX.seal("12345")]})
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "filas.example", "Content-Type": FORM_TYPE}
    body = urlencode(SMS).encode()

    async def status(app: Serving, url: str) -> int:
        signature = RequestValidator("12345").compute_signature(url, SMS)
        signed = headers | {"X-Twilio-Signature": signature}
        async with app.request("POST", "sms?room=1", data=body, headers=signed) as answer:
            found: int = answer.status
            return found

    outside = "https://filas.example/webhooks/sms?room=1"
    async with serving(redis_url, postgres_dsn, twilio, trusted_proxies=[ip_network("127.0.0.0/8")]) as app:
        assert await status(app, outside) == 200
        assert await status(app, outside.replace("sms", "other")) == 401
    async with serving(redis_url, postgres_dsn, twilio) as app:
        assert await status(app, outside) == 401
        assert await status(app, f"http://127.0.0.1:{app.port}/webhooks/sms?room=1") == 200


@pytest.mark.timeout(90)
async def test_a_form_is_accepted_while_postgres_is_unavailable(redis_url: str, own_postgres: PostgresServer) -> None:
    """With its fields, its group and its duplicate key."""
    twilio = vendor_webhook("twilio", VENDORS["twilio"])
    async with serving(redis_url, own_postgres.dsn(), twilio) as app:
        own_postgres.kill()
        found: list[dict[str, Any]] = []

        async def unrecorded() -> bool:  # Postgres's sessions end a moment after its main process
            form = {**SMS, "MessageSid": f"SM{time.time_ns()}"}
            assert (await post(app, "twilio", urlencode(form).encode()))[0] == 200
            found[:] = [job for job in await app.jobs() if not job["recorded"]]
            return bool(found)

        await eventually(unrecorded)
        job = found[0]
        assert (job["bodyKind"], job["body"]["Body"], job["provider"]) == ("form", SMS["Body"], "twilio")
        assert job["duplicateKey"] == f"{job['body']['MessageSid']}:received"
