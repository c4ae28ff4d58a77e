"""What providers report on our messages, from their webhook to the notification: sent, delivered, read, failed."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from filas.contract.policies import NOTIFICATIONS
from tests.e2e.pipeline import Pipeline
from tests.e2e.test_conversations import ECHO
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.ingest.verify.test_signatures import meta_signature
from tests.notifier.receiver import receiver
from tests.notifier.rows import opened
from tests.redis_address import connect_url
from tests.waiting import eventually


async def set_up(pipeline: Pipeline, provider: str) -> None:
    """A flow that answers each message over the channel of its provider, which a server at `provider` imitates."""
    whatsapp_channel = {
        "type": "whatsapp",
        "phoneNumberId": "106540352242922",
        "accessToken": "token",
        "baseUrl": provider,
    }
    twilio_channel = {"type": "twilio", "accountSid": "AC1", "authToken": "12345", "from": "+1500", "baseUrl": provider}
    await pipeline.api("PUT", "/api/channels/whatsapp", whatsapp_channel)
    await pipeline.api("PUT", "/api/channels/twilio", twilio_channel)
    await pipeline.api("PUT", "/api/flows/echo", ECHO)
    meta = {"type": "meta", "secrets": ["app secret"], "verifyToken": "a token"}
    for path, auth in {"whatsapp": meta, "sms": {"type": "twilio", "secrets": ["12345"]}}.items():
        await pipeline.api("PUT", f"/api/webhooks/{path}", {"flowId": "echo", "nodeId": "start", "auth": auth})


async def post_meta(pipeline: Pipeline, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    status, answer = await pipeline.webhook("whatsapp", body, meta_signature(body))
    assert status == 200, answer


async def post_twilio(pipeline: Pipeline, **form: str) -> None:
    signature = RequestValidator("12345").compute_signature(
        f"http://127.0.0.1:{pipeline.port}/webhooks/sms", MultiDict(form)
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    async with pipeline.session.post(
        f"http://127.0.0.1:{pipeline.port}/webhooks/sms", data=urlencode(form), headers=headers
    ) as answer:
        assert answer.status in (200, 204), await answer.text()


async def until(pipeline: Pipeline, provider_id: str, status: str) -> dict[str, Any]:
    """The notification of that provider's id, once it has that status."""

    async def reached() -> dict[str, Any] | None:
        rows = await pipeline.api("GET", "/api/notifications")
        return next((row for row in rows if (row["providerId"], row["status"]) == (provider_id, status)), None)

    return await eventually(reached, message=f"{provider_id} is not {status}")


async def test_a_providers_reports_move_the_notification_and_never_backwards(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """WhatsApp's `statuses`, many in a body and in any order, and Twilio's callbacks, one a form."""
    ids = {"wamid": iter(range(1, 9)), "SM": iter(range(1, 9))}

    async def take(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/2010"):
            return web.json_response({"sid": f"SM{next(ids['SM'])}", "status": "queued"}, status=201)
        return web.json_response({"messages": [{"id": f"wamid.{next(ids['wamid'])}"}]})

    def status(identity: str, state: str, **more: Any) -> dict[str, Any]:
        return {"id": identity, "status": state, "timestamp": "1790000000", "recipient_id": "5511", **more}

    async with receiver(take) as provider, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, provider.url)
        await post_meta(pipeline, whatsapp(text_message("5511", "oi", "in1")))
        await until(pipeline, "wamid.1", "sent")
        await post_meta(pipeline, whatsapp(text_message("5511", "e agora?", "in2")))
        await until(pipeline, "wamid.2", "sent")
        error = {"code": 131026, "title": "Message undeliverable", "error_data": {"details": "not on WhatsApp"}}
        statuses = [status("wamid.1", "read"), status("wamid.1", "sent"), status("wamid.2", "failed", errors=[error])]
        await post_meta(pipeline, whatsapp(statuses=statuses))
        await until(pipeline, "wamid.1", "read")
        failed = await until(pipeline, "wamid.2", "failed")
        assert failed["error"]["message"] == "131026 Message undeliverable not on WhatsApp"
        await post_meta(pipeline, whatsapp(statuses=[status("wamid.1", "delivered"), status("wamid.2", "delivered")]))

        for number, said in ((1, "oi"), (2, "e agora?")):
            await post_twilio(pipeline, From="+5511", Body=said, MessageSid=f"IN{number}", SmsStatus="received")
            await until(pipeline, f"SM{number}", "sent")
        for state in ("sent", "delivered", "sent"):
            await post_twilio(pipeline, MessageSid="SM1", MessageStatus=state, From="+1500", To="+5511")
        await post_twilio(pipeline, MessageSid="SM2", MessageStatus="undelivered", ErrorCode="30003", From="+1500")
        await until(pipeline, "SM1", "delivered")
        failed = await until(pipeline, "SM2", "failed")
        assert failed["error"]["message"] == "30003"

        async def nothing_waits() -> bool:
            stats = await pipeline.api("GET", "/api/queue/stats")
            await asyncio.sleep(0.1)  # the API is asked ten times a second, not without pause
            summary = stats["summary"]
            return not (summary["totalWaiting"] or summary["totalActive"] or summary["totalDelayed"])

        await eventually(nothing_waits)
        # What came late has moved nothing backwards.
        for provider_id, final in {"wamid.1": "read", "wamid.2": "failed", "SM1": "delivered", "SM2": "failed"}.items():
            await until(pipeline, provider_id, final)
        async with opened(postgres_dsn) as database:
            assert await database.fetchval("select count(*) from delivery_statuses") == 0


async def test_a_status_outlives_redis(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Its event is processed while no notifier runs, and Redis is emptied. The notifier's relay enqueues it, once."""

    async def take(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"messages": [{"id": "wamid.1"}]})

    redis = connect_url(redis_url)
    async with (
        receiver(take) as provider,
        opened(postgres_dsn) as database,
        Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline,
    ):
        await set_up(pipeline, provider.url)
        await post_meta(pipeline, whatsapp(text_message("5511", "oi", "in1")))
        await until(pipeline, "wamid.1", "sent")
        pipeline.kill("notifier")
        delivered = {"id": "wamid.1", "status": "delivered", "timestamp": "1790000000", "recipient_id": "5511"}
        for _ in range(2):
            await post_meta(pipeline, whatsapp(statuses=[delivered]))

        async def queued() -> bool:
            return bool(await redis.command("ZCARD", NOTIFICATIONS.name))

        async def recorded() -> bool:
            waiting = await database.fetchval("select count(*) from events where status = 'received'")
            return (waiting, await database.fetchval("select count(*) from delivery_statuses")) == (0, 1)

        await eventually(recorded)
        await eventually(queued)
        await redis.command("FLUSHDB")
        await database.fetch("update delivery_statuses set created_at = created_at - interval '1 minute'")
        pipeline.start("notifier")
        await until(pipeline, "wamid.1", "delivered")

        async def none_waits() -> bool:
            return bool(await database.fetchval("select count(*) from delivery_statuses") == 0)

        await eventually(none_waits)

        def recordings() -> int:
            return pipeline.log("notifier").count("delivery_receipt.recorded")

        await eventually(recordings)
        assert recordings() == 1
    await redis.close()
