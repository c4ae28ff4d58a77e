"""The public producer: events that other Python code enqueues are processed like webhooks."""

import asyncio
import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

import filas
from filas.contract.identity import new_id
from filas.contract.policies import WEBHOOKS
from filas.errors import SettingsError, StoreUnavailable
from filas.models.configuration import ConversationRule
from filas.queue.producer import EnqueueOutcome
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.flows import FlowRepository
from tests.ingest.serving import Serving, serving, webhook
from tests.ingest.test_webhook_worker import FLOW, status_of, working
from tests.ports import free_port
from tests.redis_address import connect_url
from tests.waiting import eventually

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "enqueue-from-your-code.md"

ORDERS = webhook(
    "orders",
    flow_id="welcome",
    conversation=ConversationRule(channel="shop", contact="{{ body.from }}", text="{{ body.text }}"),
    config={"team": "sales"},
)


def environment(redis_url: str) -> dict[str, str]:
    """The REDIS_* variables of the test's Redis database."""
    host, port, database = re.fullmatch(r"redis://([^:]+):(\d+)/(\d+)", redis_url).groups()  # type: ignore[union-attr]
    return {"REDIS_HOST": host, "REDIS_PORT": port, "REDIS_DB": database}


async def started(app: Serving) -> list[dict[str, Any]]:
    """The executions in the database, with the columns that the tests compare."""
    rows = await app.database.fetch("select event_id, flow_id, node_id, conversation_id, trigger from executions")
    return [dict(row) for row in rows]


async def until_started(app: Serving, event_id: str) -> dict[str, Any]:
    """Waits until the event is processed and returns its execution."""

    async def done() -> bool:
        return await status_of(app, event_id) == "processed"

    await eventually(done, message=f"event {event_id} was not processed")
    return next(row for row in await started(app) if str(row["event_id"]) == event_id)


def event_of(job_id: str) -> str:
    return job_id.rpartition(":")[2]


async def test_the_example_of_the_how_to_starts_the_flow_of_its_webhook(redis_url: str, postgres_dsn: str) -> None:
    """The program of the page is run as it is printed, in a process of its own."""
    (program,) = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    async with serving(redis_url, postgres_dsn, ORDERS) as app, working(app):
        await FlowRepository(app.database).store("welcome", FLOW, "Welcome", publish=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env={**os.environ, **environment(redis_url)}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        job_id, outcome = output.decode().split()
        assert outcome == "enqueued"
        execution = await until_started(app, event_of(job_id))
        assert execution["flow_id"] == "welcome"
        assert execution["conversation_id"] is not None, "the conversation rule of the definition applies"


async def test_every_argument_reaches_the_flow(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as app, working(app):
        await FlowRepository(app.database).store("flow_123", FLOW, "Other", publish=True)
        async with filas.Producer.from_env(environment(redis_url)) as producer:
            result = await producer.add_webhook_job(
                webhook_id="wh_123",
                method="POST",
                headers={"X-Source": "crm"},
                query_params={"a": ["1", "2"]},
                body={"data": "example"},
                timestamp=1_790_000_000_000,
                flow_id="flow_123",
                node_id="start",
                config={"k": 1},
            )
        assert result.outcome is EnqueueOutcome.ENQUEUED
        execution = await until_started(app, event_of(result.job_id))
        assert (execution["flow_id"], execution["node_id"]) == ("flow_123", "start")
        event = await app.events.get(UUID(event_of(result.job_id)))
        assert event is not None
        assert (event.webhook_id, event.body, event.headers) == ("wh_123", '{"data":"example"}', {"x-source": "crm"})
        assert event.received_at == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


async def test_a_job_without_a_flow_for_an_unknown_webhook_is_a_dead_letter(redis_url: str, postgres_dsn: str) -> None:
    """The error names the webhook."""
    async with serving(redis_url, postgres_dsn) as app, working(app):
        async with filas.Producer.from_env(environment(redis_url)) as producer:
            result = await producer.add_webhook_job(webhook_id="absent", body={})
        letters = DeadLetterRepository(app.database)

        async def arrived() -> bool:
            return bool((await letters.list()).items)

        await eventually(arrived)
        (letter,) = (await letters.list()).items
        assert letter.job_id == result.job_id
        assert "webhook 'absent' does not exist" in letter.error.message


async def test_the_same_event_id_is_one_job(redis_url: str) -> None:
    event_id = uuid4()
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        first = await producer.add_webhook_job(webhook_id="orders", body="text", event_id=event_id)
        second = await producer.add_webhook_job(webhook_id="orders", body="text", event_id=str(event_id))
    assert (first.outcome, second.outcome) == (EnqueueOutcome.ENQUEUED, EnqueueOutcome.DUPLICATE)
    assert first.job_id == second.job_id


async def test_flow_and_notification_jobs_have_the_ids_of_their_rows(redis_url: str) -> None:
    execution, notification = new_id(), new_id()
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        flow = await producer.add_flow_job(execution_id=execution, flow_id="welcome")
        message = await producer.add_notification_job(notification_id=notification, channel_id="shop", recipient="55")
    assert flow.job_id == f"{{flow-processing}}:{execution}:1"
    assert message.job_id == f"{{notifications}}:{notification}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"webhook_id": 7, "body": {}}, "webhook_id"),
        ({"webhook_id": "w", "body": {}, "method": None}, "method"),
        ({"webhook_id": "w", "body": {}, "headers": {"a": 1}}, "headers"),
        ({"webhook_id": "w", "body": {}, "headers": {1: "a"}}, "headers"),
        ({"webhook_id": "w", "body": {}, "headers": "a=b"}, "headers"),
        ({"webhook_id": "w", "body": {}, "query_params": {"a": 1}}, "query_params"),
        ({"webhook_id": "w", "body": {}, "event_id": "no-uuid"}, "event_id"),
        ({"webhook_id": "w", "body": {}, "timestamp": "now"}, "timestamp"),
        ({"webhook_id": "w", "body": {}, "timestamp": True}, "timestamp"),
        ({"webhook_id": "w", "body": {}, "timestamp": -1}, "timestamp"),
        ({"webhook_id": "w", "body": {}, "timestamp": datetime(2026, 1, 1)}, "timestamp"),  # noqa: DTZ001 - wrong on purpose
        ({"webhook_id": "w", "body": {}, "defer_until": 1.5}, "defer_until"),
        ({"webhook_id": "w", "body": {}, "flow_id": 7}, "flow_id"),
        ({"webhook_id": "w", "body": {}, "config": []}, "config"),
        ({"webhook_id": "", "body": {}}, "webhook_id"),
        ({"webhook_id": "w", "body": {}, "method": ""}, "method"),
        ({"webhook_id": "w", "body": {}, "group": 7}, "group"),
        ({"webhook_id": "w", "body": {}, "group": ""}, "group"),
        ({"webhook_id": "w", "body": {"text": "\ud800"}}, "JSON"),
        ({"webhook_id": "w", "body": object()}, "JSON"),
        ({"webhook_id": "w", "body": {"a": {1, "b"}, "c": 1j}}, "JSON"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_is_enqueued(
    redis_url: str, arguments: dict[str, Any], named: str
) -> None:
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        with pytest.raises(ValueError, match=named):
            await producer.add_webhook_job(**arguments)


async def test_jobs_of_a_webhook_are_processed_in_order_by_default(redis_url: str, postgres_dsn: str) -> None:
    """The messages of one contact start their executions in the order of the calls, as with HTTP requests."""
    async with serving(redis_url, postgres_dsn, ORDERS) as app:
        await FlowRepository(app.database).store("welcome", FLOW, "Welcome", publish=True)
        async with filas.Producer.from_env(environment(redis_url)) as producer:
            results = [
                await producer.add_webhook_job(webhook_id="orders", body={"from": "+5511", "text": str(number)})
                for number in range(5)
            ]
        assert await app.redis.command("ZCARD", WEBHOOKS.name) == 1, "the other jobs wait after their group head"
        async with working(app):
            await until_started(app, event_of(results[-1].job_id))
            rows = await app.database.fetch("select event_id from executions order by queued_at, id")
    assert [str(row["event_id"]) for row in rows] == [event_of(result.job_id) for result in results]


async def test_a_wrong_recipient_is_named(redis_url: str) -> None:
    recipient: Any = 7
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        with pytest.raises(ValueError, match="recipient"):
            await producer.add_notification_job(notification_id=new_id(), channel_id="shop", recipient=recipient)


async def test_an_unknown_argument_is_a_type_error(redis_url: str) -> None:
    arguments: dict[str, Any] = {"webhook_id": "w", "body": {}, "webhook": "w"}
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        with pytest.raises(TypeError, match="webhook"):
            await producer.add_webhook_job(**arguments)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="REDIS_PORT"):
        filas.Producer.from_env({"REDIS_PORT": "many"})


async def test_an_unreachable_redis_is_an_error() -> None:
    async with filas.Producer.from_env({"REDIS_PORT": str(free_port())}) as producer:
        with pytest.raises(StoreUnavailable, match="redis"):
            await producer.add_webhook_job(webhook_id="w", body={})


@pytest.mark.starts_processes
async def test_importing_filas_imports_no_redis_client() -> None:
    """`import filas` stays quick; the producer is imported when it is used."""
    program = "import sys, filas; assert 'redis' not in sys.modules; filas.Producer; assert 'redis' in sys.modules"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0


async def test_a_delay_is_by_the_clock_of_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the producer is an hour ahead."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    redis = connect_url(redis_url)
    async with filas.Producer.from_env(environment(redis_url)) as producer:
        later = await producer.add_webhook_job(webhook_id="x", body={}, defer_by=timedelta(minutes=10))
        score = float(await redis.command("ZSCORE", WEBHOOKS.name, later.job_id))
        assert abs(score / 1000 - real() - 600) < 60
        with pytest.raises(ValueError, match="defer_by"):
            await producer.add_webhook_job(webhook_id="x", body={}, defer_by=timedelta(1), defer_until=1)
        for wrong in (60, timedelta(days=9999)):
            with pytest.raises(ValueError, match="defer_by"):
                await producer.add_webhook_job(webhook_id="x", body={}, defer_by=wrong)  # type: ignore[arg-type]
    await redis.close()
