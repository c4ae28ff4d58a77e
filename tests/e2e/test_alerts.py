"""Alerts through all processes: each fault is caused for real, announced once, and announced once when it is over."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import ClientError, web

from filas_local.servers import RedisServer
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, Receiver, receiver
from tests.notifier.mail import MailServer, mail_server
from tests.shared.cli.running import filas
from tests.waiting import eventually

TO = [{"channel": "mail", "to": "ops@example.com"}, {"channel": "slack", "to": "#ops"}]
SIGNING = "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLWNybQ=="
QUICK = {"durationMs": 0, "cooldownMs": 0, "to": TO}
FAILURES: dict[str, Any] = {"metric": "flow-failure-rate", "threshold": 0.5, "durationMs": 2500}
BROKEN_FLOW = {
    "schemaVersion": 1,
    "name": "Broken",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "stop", "type": "end", "data": {"status": "{{ webhook.body.status }}"}},
    ],
    "edges": [{"source": "start", "target": "stop"}],
}


class Outside(Receiver):
    """Slack, and a CRM that fails while `fails` is set."""

    fails = False

    async def handle(self, request: web.Request) -> web.Response:
        self.note(request, await request.read())
        if request.path == "/api/chat.postMessage":
            return web.json_response({"ok": True, "ts": "1.2"})
        return web.json_response({}, status=500 if self.fails else 200)

    def texts(self) -> list[str]:
        """The texts of the messages that Slack has received."""
        return [json.loads(body)["text"] for _, body in self.at("/api/chat.postMessage")]


class Watched:
    """The pipeline with two notifiers, and what its operators receive."""

    def __init__(self, pipeline: Pipeline, outside: Outside, mail: MailServer) -> None:
        self.pipeline = pipeline
        self.outside = outside
        self.mail = mail

    def titles(self, rule: str) -> tuple[list[str], list[str]]:
        """The first lines of the messages about a rule, by mail and in Slack."""
        subjects = [str(one["Subject"]) for one in self.mail.mails]
        lines = [text.splitlines()[0].strip("*") for text in self.outside.texts()]
        about = [[one for one in found if f": {rule}" in one and "Test" not in one] for found in (subjects, lines)]
        return about[0], about[1]

    async def until(self, rule: str, count: int) -> list[str]:
        """Waits until both channels have `count` messages about a rule, and returns the subjects of the mails."""

        def received() -> bool:
            mailed, posted = self.titles(rule)
            return len(mailed) >= count and len(posted) >= count

        await eventually(received, timeout=60, message=f"{rule}: {self.titles(rule)}")
        return self.titles(rule)[0]

    async def evaluator(self) -> str:
        """The name of the notifier that evaluates the rules."""

        async def found() -> str | None:
            for name in ("notifier", "notifier-2"):
                url = f"http://127.0.0.1:{self.pipeline.admin_ports[name]}/metrics"
                with suppress(ClientError):  # it was killed
                    async with self.pipeline.session.get(url) as answer:
                        if "filas_alert_evaluator 1.0" in await answer.text():
                            return name
            return None

        return await eventually(found)


@asynccontextmanager
async def watched(redis_url: str, postgres_dsn: str, logs: Path, rule: str, **fields: Any) -> AsyncIterator[Watched]:
    """A pipeline in which only one rule is enabled."""
    async with receiver(Outside()) as outside, mail_server() as mail:
        assert isinstance(outside, Outside)
        pipeline = Pipeline(redis_url, postgres_dsn, logs, twice=("notifier",))
        pipeline.environment |= {"ALERT_EVERY_S": "1", "SECRET_SLACK": "xoxb-the-token"}
        pipeline.environment |= {"DASHBOARD_URL": "https://filas.example/dashboard"}
        async with pipeline:
            smtp = {"type": "email", "host": "127.0.0.1", "port": mail.port, "security": "none", "from": "a@b.example"}
            await pipeline.api("PUT", "/api/channels/mail", smtp)
            slack = {"type": "slack", "botToken": "env:SECRET_SLACK", "baseUrl": outside.url}
            await pipeline.api("PUT", "/api/channels/slack", slack)
            await pipeline.api(
                "PUT", "/api/channels/crm", {"type": "http", "url": f"{outside.url}/crm", "secret": SIGNING}
            )
            await pipeline.api("PUT", f"/api/alerts/{rule}", QUICK | fields)
            yield Watched(pipeline, outside, mail)


async def test_a_failing_flow_is_announced_once_also_if_the_evaluator_dies(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """And its recovery. Another notifier continues with the stored state."""
    async with watched(redis_url, postgres_dsn, tmp_path, "x-flow", **FAILURES) as seen:
        pipeline = seen.pipeline
        await pipeline.api("PUT", "/api/flows/broken", BROKEN_FLOW | {"nodes": failing_nodes()})
        await pipeline.api("PUT", "/api/webhooks/broken", {"flowId": "broken"})
        for number in range(6):
            await pipeline.webhook("broken", json.dumps({"n": number, "status": "failed"}).encode())
        [subject] = await seen.until("x-flow", 1)
        assert subject == "Warning: x-flow (broken)"
        body = seen.mail.mails[-1].get_content()
        assert re.search(r"\b([56]) of \1 executions of broken failed", body), "the last may come after the evaluation"
        for words in ("Since: ", "Likely cause: ", "/dashboard/executions?"):
            assert words in body
        pipeline.kill(await seen.evaluator())
        await seen.evaluator()
        for number in range(20):
            await pipeline.webhook("broken", json.dumps({"n": 100 + number, "status": "succeeded"}).encode())
        subjects = await seen.until("x-flow", 2)
        assert subjects == ["Warning: x-flow (broken)", "Over: x-flow (broken)"]
        run = await filas(
            "alerts",
            "history",
            environ={
                "FILAS_URL": f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}",
                "FILAS_ADMIN_TOKEN": ADMIN_TOKEN,
            },
        )
        assert "resolved" in run.out
        assert (await seen.evaluator()) in ("notifier", "notifier-2")
        assert [len(one) for one in seen.titles("x-flow")] == [2, 2]


def failing_nodes() -> list[dict[str, Any]]:
    """A flow that fails unless the event states that it succeeds."""
    rules = [{"variable": "{{ webhook.body.status }}", "operator": "equals", "value": "failed"}]
    return [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "is-bad", "type": "condition", "data": {"rules": rules}},
        {"id": "stop", "type": "end", "data": {"status": "failed"}},
    ]


BROKEN_FLOW["edges"] = [
    {"source": "start", "target": "is-bad"},
    {"source": "is-bad", "sourceHandle": "true", "target": "stop"},
]


async def test_a_frozen_flow_runner_is_announced_once(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """SIGSTOP: the process exists, and does nothing."""
    rule = {"metric": "no-worker", "severity": "critical", "subject": "flow"}
    async with watched(redis_url, postgres_dsn, tmp_path, "x-worker", **rule) as seen:
        os.kill(seen.pipeline.pids["flow-runner"], signal.SIGSTOP)
        try:
            assert await seen.until("x-worker", 1) == ["Critical: x-worker (flow)"]
        finally:
            os.kill(seen.pipeline.pids["flow-runner"], signal.SIGCONT)
        assert (await seen.until("x-worker", 2))[-1] == "Over: x-worker (flow)"
        assert [len(one) for one in seen.titles("x-worker")] == [2, 2]


async def test_a_channel_that_fails_is_announced_once(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Its circuit is open until the other side answers again."""
    async with watched(redis_url, postgres_dsn, tmp_path, "x-channel", metric="channel-paused", subject="crm") as seen:
        pipeline = seen.pipeline
        notify = {"channel": "crm", "to": "{{ webhook.body.to }}", "text": "oi"}
        nodes = [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {"id": "notify", "type": "notify", "data": notify},
        ]
        flow = {"schemaVersion": 1, "nodes": nodes, "edges": [{"source": "start", "target": "notify"}]}
        await pipeline.api("PUT", "/api/flows/notify", flow)
        await pipeline.api("PUT", "/api/webhooks/notify", {"flowId": "notify"})
        seen.outside.fails = True
        for number in range(8):
            await pipeline.webhook("notify", json.dumps({"to": f"+{number}"}).encode())
        assert await seen.until("x-channel", 1) == ["Warning: x-channel (crm)"]
        seen.outside.fails = False

        async def closed() -> bool:
            await asyncio.sleep(0.5)  # the channel is asked twice a second, not without pause
            return bool((await pipeline.api("GET", "/api/channels/crm"))["circuit"]["state"] == "closed")

        number = 100
        while not await closed():
            number += 1
            assert number < 200, "the circuit closes with the first message that is accepted"
            await pipeline.webhook("notify", json.dumps({"to": f"+{number}"}).encode())
        assert (await seen.until("x-channel", 2))[-1] == "Over: x-channel (crm)"
        assert [len(one) for one in seen.titles("x-channel")] == [2, 2]


async def test_dead_letters_are_announced_once(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Until they are replayed."""
    async with watched(redis_url, postgres_dsn, tmp_path, "x-letters", metric="dead-letters") as seen:
        pipeline = seen.pipeline
        seen.outside.fails = True
        notify = {"channel": "crm", "to": "+1", "text": "oi"}
        nodes = [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {"id": "notify", "type": "notify", "data": notify},
        ]
        flow = {"schemaVersion": 1, "nodes": nodes, "edges": [{"source": "start", "target": "notify"}]}
        await pipeline.api("PUT", "/api/flows/notify", flow)
        await pipeline.api("PUT", "/api/webhooks/notify", {"flowId": "notify"})
        await pipeline.webhook("notify", b"{}")
        assert await seen.until("x-letters", 1) == ["Warning: x-letters"]
        seen.outside.fails = False
        for letter in await pipeline.api("GET", "/api/dead-letters"):
            await pipeline.api("DELETE", f"/api/dead-letters/{letter['id']}")
        assert (await seen.until("x-letters", 2))[-1] == "Over: x-letters"
        assert [len(one) for one in seen.titles("x-letters")] == [2, 2]


async def test_a_redis_without_an_append_only_file_is_announced_once(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """A finding of the doctor as an alert. A silenced rule is announced when the silence ends."""
    rule = {"metric": "finding", "code": "redis-no-append-only-file"}
    async with watched(own_redis.url, postgres_dsn, tmp_path, "x-redis", **rule) as seen:
        test = await seen.pipeline.api("POST", "/api/alerts/x-redis/test")
        assert len(test["notificationIds"]) == 2
        await eventually(lambda: len(seen.mail.mails) == 1)
        assert seen.mail.mails[0]["Subject"] == "Test: x-redis"
        own_redis.execute("CONFIG SET appendonly no")
        assert await seen.until("x-redis", 1) == ["Warning: x-redis"]
        own_redis.execute("CONFIG SET appendonly yes")
        assert (await seen.until("x-redis", 2))[-1] == "Over: x-redis"
        assert [len(one) for one in seen.titles("x-redis")] == [2, 2]
