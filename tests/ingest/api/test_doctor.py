"""`GET /api/doctor`: each finding is caused for real, and repaired where that is possible."""

import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from filas.contract.channel_circuits import FAILURES_TO_OPEN, AdmissionRequest, ChannelLimits, ChannelReport
from filas.contract.identity import new_id
from filas.contract.job_factories import flow_job, notification_job
from filas.contract.policies import FLOWS, NOTIFICATIONS, QUEUES
from filas.doctor.stores import DoctorSettings
from filas.models.executions import DueExecution
from filas.models.refusals import NewRefusal
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.producer import QueueProducer
from filas.repository.diagnosis import DiagnosisRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.refusals import RefusalRepository
from filas_local.servers import PostgresServer, RedisServer
from ingest.event.event_jobs import job_of_event
from tests.freezing import frozen
from tests.heartbeats import present
from tests.ingest.api.seeding import attempted, delayed_job, queued_notifications
from tests.ingest.api.serving import FLOW, TOKEN, Api, serving
from tests.ingest.api.test_failures import BROKEN, failed
from tests.ingest.api.test_redrive import dead
from tests.long_form import by_form
from tests.notifier.rows import add_notification
from tests.shared.cli.running import filas
from tests.shared.repository import builders
from tests.waiting import eventually

PAGE = (Path(__file__).parents[3] / "docs" / "operations" / "doctor.md").read_text()
DOCUMENTED = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", PAGE[PAGE.index("## Findings") :]))
NOW = DoctorSettings(oldest_waiting_s=0.0, expired_lease_s=0.0, overdue_s=0.0, unfinished_s=0.0)


@pytest_asyncio.fixture
async def healthy(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """An API with a flow, a channel, and a worker on every queue. Everything that waits at all is late."""
    async with serving(redis_url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        set_doctor(api, NOW)
        assert (await api.put("/flows/greeting", FLOW)).status == 200
        assert (await api.put("/channels/console", {"type": "console"})).status == 200
        await workers(api)
        yield api


def set_doctor(api: Api, settings: DoctorSettings) -> None:
    """Gives the running API other settings of the doctor."""
    object.__setattr__(api.context, "doctor", settings)


async def workers(api: Api) -> None:
    """A heartbeat for every queue."""
    for policy in QUEUES:
        await present(api.redis, policy, 25, 100)


async def examined(api: Api, path: str = "/doctor") -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.data
    return found


async def findings(api: Api) -> dict[str, dict[str, Any]]:
    """The findings by code, without those about the Redis of the tests, which has no append-only file."""
    found = (await examined(api))["findings"]
    assert {one["code"] for one in found} <= DOCUMENTED, "docs/operations/doctor.md lists every code"
    return {one["code"]: one for one in found if not one["code"].startswith("redis-")}


async def parts(api: Api) -> dict[str, dict[str, Any]]:
    return {one["part"]: one for one in (await examined(api))["parts"]}


async def repaired(api: Api) -> list[dict[str, Any]]:
    """What `POST /api/doctor/repair` has done."""
    done: list[dict[str, Any]] = (await api.post("/doctor/repair", {})).data["repairs"]
    return done


async def why(api: Api, **subject: object) -> dict[str, Any]:
    ((kind, value),) = subject.items()
    return await examined(api, f"/doctor?{kind}={value}")


async def queued(api: Api, **fields: Any) -> DueExecution:
    """An execution whose row is due; its job is not enqueued."""
    rows = ExecutionRepository(api.database)
    new = builders.execution(flow_id="greeting", **fields)
    [due] = await rows.start_many([(new.event_id, [new])])
    assert isinstance(due, list)
    return due[0]


async def waiting(api: Api, status: str, wake_at: datetime | None = None, **fields: Any) -> UUID:
    """An execution that waits."""
    due = await queued(api, **fields)
    rows = ExecutionRepository(api.database)
    claimed = await rows.claim(due.id, 1, "worker-1", 8.0)
    assert claimed is not None
    step = builders.step(1, node_id="ask", status="waiting", ended_at=None)
    more = {"awaits_reply": status == "waiting-input", "wake_at": wake_at, "steps": [step]}
    await rows.checkpoint_many([builders.checkpoint(claimed, status, **more)])
    return due.id


async def test_a_healthy_system_has_no_finding(healthy: Api) -> None:
    """Every part states what it has seen."""
    assert await findings(healthy) == {}
    found = await parts(healthy)
    assert found["queue notifications"]["detail"] == "0 jobs waiting; 1 notifier, 25 % busy"
    assert found["redis"]["detail"].startswith("answers in ")
    assert found["definitions"]["detail"] == "loaded"
    assert all(one["ok"] for name, one in found.items() if name != "redis")


async def test_queues_without_workers_paused_and_late(redis_url: str, postgres_dsn: str) -> None:
    """Each has its remedy."""
    async with serving(redis_url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        set_doctor(api, NOW)
        found = await findings(api)
        assert (found["queue-without-worker"]["severity"], found["queue-without-worker"]["remedy"][:8]) == (
            "warning",
            "start a ",
        )
        await delayed_job(api, "{webhook-processing}:x")
        await api.post("/jobs/{webhook-processing}:x/promote")
        critical = next(one for one in (await examined(api))["findings"] if one["code"] == "queue-without-worker")
        assert (critical["severity"], critical["subject"]["id"], critical["evidence"]["waiting"]) == (
            "critical",
            "webhook",
            1,
        )
        assert (await why(api, job="{webhook-processing}:x"))["cause"] == "no-worker"
        await workers(api)
        assert "too few" not in (await findings(api))["queue-late"]["message"]
        await api.post("/queue/webhook/pause")
        found = await findings(api)
        assert set(found) == {"queue-paused"}
        assert "resume" in found["queue-paused"]["remedy"]
        answer = await why(api, id="{webhook-processing}:x")
        assert (answer["cause"], answer["stuck"]) == ("queue-paused", True)


async def test_a_redis_that_may_lose_jobs(own_redis: RedisServer, postgres_dsn: str) -> None:
    """An eviction policy, a full memory, and no append-only file."""
    async with serving(own_redis.url, postgres_dsn) as api:

        async def codes() -> set[str]:
            return {one["code"] for one in (await examined(api))["findings"] if one["subject"]["kind"] == "redis"}

        assert await codes() == set()
        own_redis.execute("CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 100mb")
        assert await codes() == {"redis-evicts"}
        own_redis.execute("CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1mb")
        assert await codes() == {"redis-memory"}
        own_redis.execute("CONFIG SET maxmemory 0", "CONFIG SET appendonly no")
        assert await codes() == {"redis-no-append-only-file"}
        own_redis.execute("CONFIG SET appendonly yes")

        async def none_is_left() -> bool:
            return not await codes()

        await eventually(none_is_left)


async def test_an_unavailable_store_is_a_finding(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """The answer is 200, and the parts that need the store are unknown."""
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        own_redis.kill()
        assert (await findings_of_store(api, "redis"))["severity"] == "critical"
        own_redis.start()

        async def redis_is_ok() -> bool:
            return (await parts(api))["redis"]["ok"] is True

        await eventually(redis_is_ok)
        own_postgres.kill()

        async def postgres_fails() -> bool:
            return "postgres-unavailable" in await findings(api)

        await eventually(postgres_fails)
        assert (await parts(api))["dead letters"]["detail"] == "unknown while postgres is unavailable"


async def findings_of_store(api: Api, store: str) -> dict[str, Any]:
    return next(one for one in (await examined(api))["findings"] if one["code"] == f"{store}-unavailable")


@pytest.mark.parametrize("frozen_store", ["redis", "postgres"])
async def test_a_frozen_store_delays_no_finding_of_the_other(
    own_redis: RedisServer, own_postgres: PostgresServer, frozen_store: str
) -> None:
    """Every answer of the API names the store within about a second. The doctor reports what the other store knows."""
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        await api.context.webhook_cache.refresh()
        with frozen(own_redis if frozen_store == "redis" else own_postgres):
            began = time.monotonic()
            found = await parts(api)
            assert time.monotonic() - began < by_form(4.5, 3.0), "an unexamined store is given up after five seconds"
            other = "postgres" if frozen_store == "redis" else "redis"
            assert found[other]["ok"]
            assert (found[frozen_store]["ok"], found[frozen_store]["detail"]) == (False, "timed out")
            queue = found["queue notifications"]["detail"]
            if frozen_store == "postgres":
                assert queue.startswith("0 jobs waiting; ")
                assert queue.endswith("whether it is paused is unknown while postgres is unavailable")
            began = time.monotonic()
            answer = await api.get("/queue/stats" if frozen_store == "redis" else "/flows")
            assert (answer.status, answer.json["store"]) == (503, frozen_store)


async def test_jobs_that_wait_for_a_newer_version(healthy: Api) -> None:
    """The finding names the function and the version, so that the operator knows what to start."""
    await healthy.redis.client.set(
        "arq:job:{notifications}:fax", b'{"f":"deliver_fax","k":{"job":{"schemaVersion":2}}}'
    )
    since_ms = int((time.time() - 95) * 1000)
    await healthy.redis.client.hset("{notifications}:newer", "{notifications}:fax", f"{since_ms}|w")
    found = (await findings(healthy))["jobs-of-newer-version"]
    assert "deliver_fax (schema version 2)" in found["message"]
    assert 90 < (datetime.now(UTC) - datetime.fromisoformat(found["since"])).total_seconds() < 200


async def test_jobs_of_dead_workers(healthy: Api) -> None:
    """A lease has expired and nothing makes the job available again."""
    await delayed_job(healthy, "{flow-processing}:lost")
    await healthy.redis.command("ZADD", "{flow-processing}:active", int((time.time() - 60) * 1000), "lost")
    found = (await findings(healthy))["jobs-without-lease"]
    assert (found["evidence"]["jobs"], found["evidence"]["examples"], found["subject"]["id"]) == (1, ["lost"], "flow")


async def test_a_group_whose_head_is_gone_is_repaired(healthy: Api) -> None:
    """The next job of the conversation becomes available."""
    first, second = [await queued(healthy, contact="+5511", channel="console") for _ in range(2)]
    for due in (first, second):
        await healthy.context.producer.enqueue(flow_job(due, "start", None))
    head = flow_job(first, "start", None).job_id
    waits = await why(healthy, execution=second.id)
    assert (waits["cause"], waits["evidence"]["ahead"]) == ("behind-others", 1)
    assert "1 job of its conversation comes first" in waits["sentence"]
    await healthy.redis.command("ZREM", FLOWS.name, head)
    await healthy.redis.command("DEL", f"arq:job:{head}")
    await healthy.database.fetch("update executions set status = 'failed', ended_at = now() where id = $1", first.id)
    found = (await findings(healthy))["groups-without-head"]
    assert (found["repairable"], found["evidence"]["groups"]) == (True, 1)
    assert (await why(healthy, execution=second.id))["cause"] == "group-without-head"
    trial = (await healthy.post("/doctor/repair", {"dryRun": True})).data["repairs"]
    assert [(one["code"], one["count"]) for one in trial if one["code"].startswith("groups")] == [
        ("groups-without-head", 0)
    ]
    done = await repaired(healthy)
    assert ("groups-without-head", 1) in [(one["code"], one["count"]) for one in done]
    assert "groups-without-head" not in await findings(healthy)
    assert (await why(healthy, execution=second.id))["cause"] == "waiting"


async def test_accepted_work_on_no_queue_is_repaired(healthy: Api) -> None:
    """Events, executions and messages whose jobs Redis does not have, as after a loss without a relay."""
    event = builders.event()
    await healthy.context.events.insert_many([event])
    due = await queued(healthy)
    [message] = await queued_notifications(healthy, (await queued(healthy)).id)
    expected = {"events-on-no-queue", "executions-on-no-queue", "messages-on-no-queue"}
    found = await findings(healthy)
    assert expected <= set(found)
    assert found["events-on-no-queue"]["evidence"]["examples"] == [str(event.id)]
    for kind, one in (("event", event.id), ("execution", due.id), ("notification", message)):
        assert (await why(healthy, **{kind: one}))["cause"] == "not-on-queue"
    run = await filas("doctor", "--repair", environ={"FILAS_URL": healthy.url, "FILAS_ADMIN_TOKEN": TOKEN})
    assert run.code == 0, run.err
    assert "enqueued the events on webhook-processing: 1" in run.out
    assert not expected & set(await findings(healthy))
    assert (await why(healthy, event=event.id))["cause"] == "waiting"
    assert (await why(healthy, id=message))["subject"]["kind"] == "notification"


async def test_failing_flows_and_dead_letters(healthy: Api) -> None:
    """By flow and error, with the command that shows one and the command that replays all."""
    ids = await failed(healthy, BROKEN, 3)
    await dead(healthy, 2)
    await healthy.database.fetch("update dead_letters set failed_at = now()")
    found = await findings(healthy)
    failing = found["flow-failing"]
    assert (failing["subject"], failing["evidence"]["count"]) == ({"kind": "flow", "id": "greeting"}, 3)
    assert "http-status at crm: the answer is 500" in failing["message"]
    assert str(ids[-1]) in failing["remedy"]
    assert found["dead-letters"]["evidence"]["count"] == 2
    answer = await why(healthy, execution=ids[0])
    assert (answer["cause"], answer["sentence"]) == (
        "failed",
        "it failed at the node crm: http-status: the answer is 500",
    )


async def test_waits(healthy: Api) -> None:
    """Each wait is one sentence; a wait that is over is a finding."""
    later = datetime.now(UTC) + timedelta(hours=1)
    asked = await waiting(healthy, "waiting-input", later, channel="console", contact="a")
    slept = await waiting(healthy, "waiting-timer", later, contact="b")
    called = await waiting(healthy, "waiting-callback", later, contact="c")
    retried = await waiting(healthy, "retrying", later, contact="d")
    causes = {
        asked: ("waits-for-reply", "it waits at the node ask for a reply since "),
        slept: ("waits-for-time", "it waits at the node ask until "),
        called: ("waits-for-call", "it waits at the node ask since "),
        retried: ("retries", "the node ask failed and is tried again at "),
    }
    for one, (cause, begin) in causes.items():
        answer = await why(healthy, execution=one)
        assert (answer["cause"], answer["stuck"], answer["sentence"][: len(begin)]) == (cause, False, begin)
    assert await findings(healthy) == {}
    await healthy.database.fetch("update executions set wake_at = now() - interval '1 hour' where id = $1", slept)
    assert (await findings(healthy))["timers-overdue"]["subject"]["id"] == str(slept)
    answer = await why(healthy, execution=slept)
    assert (answer["cause"], answer["stuck"]) == ("timer-overdue", True)


async def test_a_wait_that_is_just_over_is_not_stuck(healthy: Api) -> None:
    """A flow-runner continues it by itself, unless none runs, or a minute has passed. What its job does comes first."""
    set_doctor(healthy, DoctorSettings())
    slept = await waiting(healthy, "waiting-timer", datetime.now(UTC) + timedelta(hours=1), contact="b")
    await healthy.database.fetch("update executions set wake_at = now() - interval '1 second' where id = $1", slept)
    answer = await why(healthy, execution=slept)
    assert (answer["cause"], answer["stuck"], answer["remedy"]) == (
        "timer-overdue",
        False,
        "nothing: it continues by itself",
    )
    await healthy.database.fetch("update executions set wake_at = now() - interval '61 seconds' where id = $1", slept)
    assert (await why(healthy, execution=slept))["stuck"]
    due = await DiagnosisRepository(healthy.database).due_execution(slept)
    assert due is not None
    await QueueProducer(healthy.redis).enqueue(flow_job(due, "timer", None))
    answer = await why(healthy, execution=slept)
    assert (answer["cause"], answer["stuck"]) == ("waiting", False)


async def test_an_execution_that_waits_for_its_message(healthy: Api) -> None:
    """Nobody calls its address: the answer states why the message has no outcome."""
    later = datetime.now(UTC) + timedelta(hours=1)
    awaiting = await waiting(healthy, "waiting-callback", later, contact="c")
    message = await add_notification(healthy.database, "console")
    await healthy.database.fetch("update executions set awaits_message = $2 where id = $1", awaiting, message)
    answer = await why(healthy, execution=awaiting)
    assert (answer["cause"], answer["evidence"]["message"]) == ("waits-for-message", str(message))
    assert answer["sentence"].startswith(f"it waits at the node ask for the outcome of message {message}: its job is ")
    await healthy.database.fetch("update notifications set channel_id = 'gone'")
    answer = await why(healthy, execution=awaiting)
    assert (answer["stuck"], answer["remedy"]) == (True, "store the channel gone")


async def test_executions_that_wait_for_something_that_is_gone(healthy: Api) -> None:
    """A deleted channel, and a deleted version of a flow."""
    one = await waiting(healthy, "waiting-input", None, channel="console", contact="a")
    assert (await healthy.delete("/channels/console")).status == 200
    assert (await findings(healthy))["executions-without-channel"]["evidence"]["example"] == str(one)
    answer = await why(healthy, execution=one)
    assert (answer["cause"], answer["stuck"]) == ("channel-unknown", True)
    assert "the channel console does not exist" in answer["sentence"]
    await healthy.database.fetch("delete from flow_versions")
    found = (await findings(healthy))["executions-without-flow"]
    assert f"filas executions cancel {one}" in found["remedy"]
    assert (await why(healthy, execution=one))["cause"] == "flow-gone"


async def test_channels_that_fail_are_paused_or_unknown(healthy: Api) -> None:
    """With what waits behind them, and the last error."""
    [message] = await queued_notifications(healthy, (await queued(healthy)).id)
    await attempted(healthy, message, succeeds=False)
    circuits = ChannelCircuits(healthy.redis)
    for number in range(FAILURES_TO_OPEN):
        request = AdmissionRequest(channel_id="console", id=str(number), recipient="a", limits=ChannelLimits())
        await circuits.admit(request)
        await circuits.report(ChannelReport(channel_id="console", id=str(number), outcome="failure"))
    found = (await findings(healthy))["channel-failing"]
    assert (found["severity"], found["subject"]["id"], found["evidence"]["waiting"]) == ("critical", "console", 1)
    assert "1 message waits; the last error: no answer within 10 s" in found["message"]
    answer = await why(healthy, channel="console")
    assert (answer["cause"], answer["stuck"]) == ("channel-failing", True)
    assert (await why(healthy, notification=message))["cause"] == "channel-failing"
    assert (await healthy.delete("/channels/console")).status == 200
    assert (await findings(healthy))["channel-unknown"]["evidence"]["waiting"] == 1
    assert (await why(healthy, notification=message))["cause"] == "channel-unknown"


async def test_messages_that_were_not_delivered(healthy: Api) -> None:
    """By channel, with the error of the newest one."""
    [message] = await queued_notifications(healthy, (await queued(healthy)).id)
    await attempted(healthy, message, succeeds=False)
    await healthy.database.fetch("update notifications set status = 'failed', ended_at = now()")
    found = (await findings(healthy))["messages-undelivered"]
    assert "timeout: no answer within 10 s" in found["message"]
    assert (await why(healthy, notification=message))["sentence"].startswith("it failed: timeout")


async def test_webhooks_that_start_nothing(healthy: Api) -> None:
    """The flow is missing, or the template of the contact yields nothing."""
    hook = {"flowId": "gone", "conversation": {"channel": "console", "contact": "{{ body.form }}"}}
    assert (await healthy.put("/webhooks/hi?force=true", hook)).status == 200
    found = (await findings(healthy))["webhook-without-flow"]
    assert (found["subject"]["id"], "gone does not exist" in found["message"]) == ("hi", True)
    event = builders.event(webhook_id="hi")
    await healthy.context.events.insert_many([event])
    await ExecutionRepository(healthy.database).start_many([(event.id, [])], reasons={event.id: "no-contact"})
    found = (await findings(healthy))["events-without-contact"]
    assert "`conversation.contact` yields nothing" in found["message"]
    answer = await why(healthy, event=event.id)
    assert (answer["cause"], answer["evidence"]["reason"]) == ("ignored", "no-contact")
    assert (await healthy.put("/webhooks/hi?force=true", hook | {"enabled": False})).status == 200
    assert "webhook-without-flow" not in await findings(healthy)
    assert (await healthy.put("/webhooks/hi?force=true", hook)).status == 200
    assert "webhook-without-flow" in await findings(healthy)
    assert (await healthy.delete("/webhooks/hi")).status == 200
    assert "webhook-without-flow" not in await findings(healthy)


async def test_a_spike_of_refusals(healthy: Api) -> None:
    """Many refused requests at once; a few are no finding."""
    store = RefusalRepository(healthy.database)

    def refusals(count: int) -> list[NewRefusal]:
        return [
            NewRefusal(
                id=new_id(),
                received_at=datetime.now(UTC),
                webhook_id="shop",
                path="/webhooks/shop",
                method="POST",
                address="192.0.2.1",
                status=401,
                reason="signature-wrong",
                detail="the signature is wrong",
                size=2,
                headers="{}",
                query_params="{}",
                body=b"",
            )
            for _ in range(count)
        ]

    await store.insert_many(refusals(5))
    assert await findings(healthy) == {}
    await store.insert_many(refusals(40))
    found = (await findings(healthy))["refusals-spike"]
    assert (found["subject"], found["evidence"]["reason"]) == ({"kind": "webhook", "id": "shop"}, "signature-wrong")


async def test_a_schedule_that_cannot_start_its_flow(healthy: Api) -> None:
    assert (await healthy.put("/schedules/daily", {"flowId": "greeting", "cron": "0 9 * * *"})).status == 200
    error = msgspec.json.encode({"kind": "flow", "message": "flow greeting has no published version"}).decode()
    await healthy.database.fetch("update schedules set last_error = $1::json", error)
    assert (await findings(healthy))["schedule-failing"]["subject"]["id"] == "daily"


async def test_weak_keys_versions_and_retention(healthy: Api) -> None:
    """What only this process knows, and what Postgres knows about the others."""
    set_doctor(
        healthy, DoctorSettings(weak_secrets=("FILAS_ADMIN_TOKEN",), retention_days={"event": 30}, database_bytes=1)
    )
    event = builders.event(received_at=datetime.now(UTC) - timedelta(days=40))
    await healthy.context.events.insert_many([event])
    await builders.end_events(healthy.database, event.id)
    found = await findings(healthy)
    assert set(found) == {"weak-secret", "retention-behind", "postgres-disk", "search-index-behind"}
    assert "EVENTS_RETENTION_DAYS is 30" in found["retention-behind"]["message"]


async def test_an_index_of_words_that_is_behind(healthy: Api) -> None:
    """The finding states since when, and whether a process builds it. An event of a minute ago is no finding."""
    await healthy.context.events.insert_many([builders.event(received_at=datetime.now(UTC) - timedelta(seconds=60))])
    assert "search-index-behind" not in await findings(healthy)
    await healthy.context.events.insert_many([builders.event(received_at=datetime.now(UTC) - timedelta(minutes=9))])
    found = (await findings(healthy))["search-index-behind"]
    assert found["severity"] == "warning"
    assert (found["evidence"]["behindEvents"], found["evidence"]["built"]) == (2, False)
    assert found["evidence"]["behindS"] >= 540
    state = (await healthy.get("/search/state")).data
    assert (state["behindEvents"], state["events"], state["indexedUntil"]) == (2, 0, None)


async def test_processes_of_two_versions(healthy: Api, postgres_dsn: str) -> None:
    """The name of a connection has the version of its process."""
    connections = [
        await asyncpg.connect(postgres_dsn, server_settings={"application_name": name})
        for name in ("filas-flow-runner 0.3.0", "filas-notifier 0.2.0", "filas-notifier 0.2.0-watch")
    ]
    try:
        found = (await findings(healthy))["versions-differ"]
    finally:
        for one in connections:
            await one.close()
    assert found["evidence"] == {"0.2.0": ["filas-notifier"], "0.3.0": ["filas-flow-runner"]}
    assert found["severity"] == "info"


async def test_a_transaction_that_stays_open(healthy: Api, postgres_dsn: str) -> None:
    """The finding names the program and its process."""
    set_doctor(healthy, DoctorSettings(long_transaction_s=0.0))
    connection = await asyncpg.connect(postgres_dsn, server_settings={"application_name": "psql of Ana"})
    try:
        await connection.execute("begin; select 1")
        found = (await findings(healthy))["postgres-long-transaction"]
    finally:
        await connection.close()
    assert "psql of Ana has a transaction open" in found["message"]


async def test_a_missing_migration_is_critical(healthy: Api, owner_dsn: str) -> None:
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute(
            "delete from public._pogo_migration where migration_id = (select max(migration_id) from "
            "public._pogo_migration where migration_id like '%.pre')"
        )
    finally:
        await connection.close()
    found = (await findings(healthy))["migrations-missing"]
    assert (found["severity"], found["remedy"]) == ("critical", "run `filas migrate`")


async def test_the_way_of_a_message_is_explained(healthy: Api) -> None:
    """From the event over the execution to the end, and for a whole conversation."""
    event = builders.event()
    await healthy.context.events.insert_many([event])
    await healthy.context.producer.enqueue(job_of_event(event))
    assert (await why(healthy, event=event.id))["cause"] == "waiting"
    new = builders.execution(event.id, flow_id="greeting", channel="console", contact="+5511900000001")
    await ExecutionRepository(healthy.database).start_many([(event.id, [new])])
    answer = await why(healthy, event=event.id)
    assert (answer["cause"], answer["evidence"]["execution"]) == ("not-on-queue", str(new.id))
    shown = (await healthy.get(f"/executions/{new.id}")).data
    conversation = await why(healthy, conversation=shown["conversationId"])
    assert conversation["sentence"].startswith(f"1 execution has not ended; the oldest is {new.id}: ")
    rows = ExecutionRepository(healthy.database)
    claimed = await rows.claim(new.id, 1, "worker-1", 8.0)
    assert claimed is not None
    await rows.checkpoint_many([builders.checkpoint(claimed, "succeeded")])
    assert (await why(healthy, event=event.id))["cause"] == "finished"
    assert (await why(healthy, conversation=shown["conversationId"]))["status"] == "idle"
    run = await filas("why", str(new.id), environ={"FILAS_URL": healthy.url, "FILAS_ADMIN_TOKEN": TOKEN})
    assert run.out.startswith(f"execution {new.id}: it ended at ")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("execution=00000000-0000-0000-0000-000000000000", 404),
        ("id=nothing", 404),
        ("id=00000000-0000-0000-0000-000000000000", 404),
        ("job=nothing", 404),
        ("channel=nothing", 404),
        ("execution=nothing", 422),
        ("job=a&channel=b", 422),
    ],
)
async def test_an_unknown_object_is_named(healthy: Api, query: str, status: int) -> None:
    assert (await healthy.get(f"/doctor?{query}")).status == status


async def test_healthy_work_gives_no_finding(healthy: Api) -> None:
    """Jobs come and go while the doctor looks. With the usual thresholds, nothing is found."""
    set_doctor(healthy, DoctorSettings())
    producer, seen = QueueProducer(healthy.redis), set()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        event = builders.event()
        await healthy.context.events.insert_many([event])
        await producer.enqueue(job_of_event(event))
        seen |= set(await findings(healthy))
        await workers(healthy)
    assert seen == set()


async def test_the_jobs_of_this_test_have_the_ids_of_their_rows(healthy: Api) -> None:
    """The doctor looks jobs up by these ids."""
    due = await queued(healthy)
    [message] = await queued_notifications(healthy, (await queued(healthy)).id)
    shown = (await healthy.get(f"/notifications/{message}")).data
    for job, policy in (
        (flow_job(due, "start", None), FLOWS),
        (notification_job(message, shown["channelId"], shown["recipient"], None), NOTIFICATIONS),
    ):
        await healthy.context.producer.enqueue(job)
        assert await healthy.context.stats.job(policy, job.job_id) is not None
