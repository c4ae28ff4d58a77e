"""Work that is stuck: the doctor finds the fault and nothing else, `why` names the cause, and the work ends after it.

The faults are real: processes are killed and frozen, Redis is emptied. Rows are made older (`Operator.age`) where the
doctor reports them only after a minute.

| complaint of n8n's users                                        | the test in which it is caused here          |
|-----------------------------------------------------------------|----------------------------------------------|
| #14233: a worker seems healthy and takes no executions          | `…are_frozen`, `…every_slot…`                |
| #13960: executions are queued for ever, because no worker runs  | `…a_flow_runner_is_killed…`                  |
| #12367: a worker runs, and nothing moves                        | `…an_operator…`: paused queue, lost head     |
| #12535: the queue and the database disagree about what exists   | `…redis_is_emptied…`                         |
| #7705: executions remain running after their worker has died    | `…a_flow_runner_is_killed…`                  |
"""

from pathlib import Path

from filas.contract.policies import FLOWS
from filas_local.servers import PostgresServer, RedisServer
from tests.e2e.operating import MAX_S, Operator, conversation_webhook, flows, operating
from tests.freezing import frozen, frozen_process
from tests.long_form import LONG
from tests.process_table import WORKERS


async def test_a_flow_runner_is_killed_while_executions_run(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """Three executions are in the middle of a call, one waits for them, and the time of another one comes."""
    async with operating(own_redis, postgres_dsn, tmp_path, sleep_ms=8000) as seen:
        seen.outside.hold("/calls")
        events = [await seen.say("work", f"+{number}") for number in (2, 3, 4)]
        await seen.outside.until("/calls", 3)
        running = await seen.execution(events[0], "running")
        assert (await seen.why(execution=running))["cause"] == "running"
        behind = await seen.execution(await seen.say("work", "+2"))
        answer = await seen.until_why("behind-others", execution=behind)
        assert "1 job of its conversation comes first; the first is running since" in answer["sentence"]
        sleeping = await seen.execution(await seen.say("sleep", "+1"), "waiting-timer")
        assert (await seen.why(execution=sleeping))["cause"] == "waits-for-time"

        seen.pipeline.kill("flow-runner")
        found = await seen.until("queue-without-worker flow")
        assert found["queue-without-worker flow"]["severity"] == "critical"
        assert "start a flow-runner" in found["queue-without-worker flow"]["remedy"]
        await seen.until_why("no-worker", execution=running)
        assert "no flow-runner is running" in await seen.filas_why(running)
        assert (await seen.why(execution=behind))["cause"] == "no-worker"
        answer = await seen.why(event=events[0])
        assert (answer["cause"], answer["stuck"], answer["evidence"]["execution"]) == ("no-worker", True, running)

        answer = await seen.until_why("timer-overdue", execution=sleeping)
        assert "no flow-runner has continued it" in answer["sentence"]
        await seen.age("executions", "wake_at", f"id = '{sleeping}'")
        if not LONG:  # otherwise the leases become old by themselves, within 25 s
            await seen.age_leases(FLOWS)
        await seen.until("queue-without-worker flow", "timers-overdue " + sleeping, "jobs-without-lease flow")
        assert await seen.repair() == {}

        seen.outside.release()
        seen.pipeline.start("flow-runner")
        await seen.until_done()
        assert len(seen.outside.keys("/messages")) == 4


async def test_redis_is_emptied_while_no_worker_runs(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """An event, an execution and messages are only in Postgres. The repair enqueues them, before a worker runs.
    One message is then only in Redis: the job of a row that is gone ends by itself."""
    async with operating(own_redis, postgres_dsn, tmp_path) as seen:
        seen.pipeline.kill("notifier")
        first = await seen.execution(await seen.say("work", "+1"), "succeeded")
        message = await seen.message(first)
        gone = await seen.message(await seen.execution(await seen.say("work", "+4"), "succeeded"))
        seen.pipeline.kill("flow-runner")
        second = await seen.execution(await seen.say("work", "+2"), "queued")
        seen.pipeline.kill("ingest-worker")
        third = await seen.say("work", "+3")
        workers = [f"queue-without-worker {queue}" for queue in ("webhook", "flow", "notification")]
        await seen.until(*workers)

        own_redis.execute("FLUSHALL")
        await seen.age("notifications", "due_at", "ended_at is null")
        await seen.age("executions", "ready_at", "ended_at is null")
        await seen.age("events", "received_at", "status = 'received'")
        lost = ["events-on-no-queue webhook", "executions-on-no-queue flow", "messages-on-no-queue notification"]
        found = await seen.until(*workers, *lost)
        for code, one in zip(lost, (third, second, message), strict=True):
            assert (found[code]["repairable"], found[code]["evidence"]["examples"][0]) == (True, one)
            assert (await seen.why(id=one))["cause"] == "not-on-queue"
        assert "its job is not in flow-processing" in await seen.filas_why(second)

        repaired = {"events-on-no-queue": 1, "executions-on-no-queue": 1, "messages-on-no-queue": 2}
        assert await seen.repair() == repaired
        await seen.until(*workers)
        for one in (third, second, message):
            assert (await seen.why(id=one))["cause"] == "no-worker"
        job = (await seen.why(id=gone))["evidence"]["job"]
        await seen.database.fetch("delete from notifications where id = $1::uuid", gone)
        assert (await seen.why(job=job))["cause"] == "no-worker"
        for name in WORKERS:
            seen.pipeline.start(name)
        await seen.until_done()
        assert sorted(seen.outside.keys("/messages").values()) == [1, 1, 1]
        await seen.until_why("finished", job=job)


async def test_processes_and_stores_are_frozen(
    own_redis: RedisServer, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """Their processes exist, their ports are open, and nothing moves. The doctor answers in time."""
    async with operating(own_redis, own_postgres.dsn(), tmp_path) as seen:
        with frozen_process(seen.pipeline.pids["notifier"]):
            message = await seen.message(await seen.execution(await seen.say("work", "+1"), "succeeded"))
            found = await seen.until("queue-without-worker notification")
            assert "start a notifier" in found["queue-without-worker notification"]["remedy"]
            assert "no notifier is running" in await seen.filas_why(message)
            with frozen_process(seen.pipeline.pids["flow-runner"]), frozen_process(seen.pipeline.pids["ingest-worker"]):
                await seen.until(*(f"queue-without-worker {queue}" for queue in ("webhook", "flow", "notification")))
        await seen.until_done()
        with frozen(own_redis, own_postgres):
            await seen.until("redis-unavailable", "postgres-unavailable")
            # The least of a few: a stall of the machine makes one slow, and a store that is awaited makes all slow.
            assert min([await seen.seconds() for _ in range(5)]) < MAX_S
        await seen.until_done()
        assert list(seen.outside.keys("/messages").values()) == [1]


async def test_every_slot_of_the_flow_runner_is_taken(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """Executions wait for calls that are not answered. The worker is alive, and takes no others."""
    slots = {"FLOW_RUNNER_CONCURRENCY": "2"}
    async with operating(own_redis, postgres_dsn, tmp_path, environment=slots) as seen:
        seen.outside.hold("/calls")
        for contact in ("+1", "+2"):
            await seen.say("work", contact)
        await seen.outside.until("/calls", 2)
        waiting = await seen.execution(await seen.say("work", "+3"), "queued")
        answer = await seen.until_why("waiting", execution=waiting)
        await seen.until()
        await seen.until_filas_why("1 is running, 100 % busy", waiting)  # a heartbeat reports it
        await seen.age_job(FLOWS, answer["evidence"]["job"])
        found = await seen.until_evidence("queue-late flow", running=2, slots=2)
        assert "too few or too slow" in found["message"]
        seen.outside.release()
        await seen.until_done()


async def test_what_an_operator_has_caused_or_can_repair(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """One fault after the other, in one pipeline. Nothing remains of each."""
    async with operating(own_redis, postgres_dsn, tmp_path) as seen:
        for cause in (_pause, _lose_a_head, _open_a_circuit, _delete_a_channel, _delete_a_flow, _name_no_flow):
            await cause(seen)
            await seen.until_done()


async def _pause(seen: Operator) -> None:
    """The worker runs and is idle, and the queue is paused."""
    await seen.pipeline.api("POST", "/api/queue/flow/pause")
    assert (await seen.until("queue-paused flow"))["queue-paused flow"]["severity"] == "info"
    await seen.until_paused("flow-runner", FLOWS.name)
    stuck = await seen.execution(await seen.say("work", "+1"))
    await seen.until_filas_why("the queue flow-processing is paused", stuck)
    found = await seen.until_evidence("queue-paused flow", waiting=1)
    assert found["severity"] == "warning"
    await seen.pipeline.api("POST", "/api/queue/flow/resume")


async def _lose_a_head(seen: Operator) -> None:
    """The job that runs first in a conversation is deleted; the next one waits for it."""
    seen.pipeline.kill("flow-runner")
    first = await seen.execution(await seen.say("work", "+1"), "queued")
    second = await seen.execution(await seen.say("work", "+1"), "queued")
    await seen.until("queue-without-worker flow")
    head = (await seen.why(execution=first))["evidence"]["job"]
    await seen.redis.command("ZREM", FLOWS.name, head)
    await seen.redis.command("DEL", f"arq:job:{head}")
    found = await seen.until("queue-without-worker flow", "groups-without-head flow")
    assert found["groups-without-head flow"]["repairable"]
    assert await seen.repair() == {"groups-without-head": 1}
    await seen.until("queue-without-worker flow")
    assert (await seen.why(execution=second))["cause"] == "no-worker"
    assert (await seen.why(execution=first))["cause"] == "not-on-queue"
    seen.pipeline.start("flow-runner")


async def _open_a_circuit(seen: Operator) -> None:
    """The other side of a channel fails, until the channel is paused."""
    seen.outside.broken.add("/messages")
    executions = [await seen.execution(await seen.say("work", f"+{number}"), "succeeded") for number in range(6)]
    found = await seen.until_evidence("channel-failing phone", waiting=6)
    assert "500" in found["message"], found
    assert (await seen.why(channel="phone"))["cause"] == "channel-failing"
    answer = await seen.why(notification=await seen.message(executions[0]))
    assert "it is not sent: the channel phone is paused" in answer["sentence"]
    seen.outside.broken.clear()


async def _delete_a_channel(seen: Operator) -> None:
    """A question is open in it. It is answered after the channel was stored again."""
    asking = await seen.execution(await seen.say("ask", "+7"), "waiting-input")
    await seen.until()
    await seen.pipeline.api("DELETE", "/api/channels/phone?force=true")
    found = await seen.until("executions-without-channel ask")
    assert found["executions-without-channel ask"]["evidence"]["example"] == asking
    answer = await seen.why(execution=asking)
    assert (answer["cause"], answer["stuck"]) == ("channel-unknown", True)
    await seen.store_channel()
    await seen.until()
    assert (await seen.why(execution=asking))["cause"] == "waits-for-reply"
    await seen.say("ask", "+7", "Ana")


async def _delete_a_flow(seen: Operator) -> None:
    """The API refuses it while an execution waits. A database that was restored can be without it."""
    asking = await seen.execution(await seen.say("ask", "+1"), "waiting-input")
    assert (await seen.why(execution=asking))["cause"] == "waits-for-reply"
    status, text = await seen.refused("DELETE", "/api/flows/ask?force=true")
    assert (status, "have not ended" in text) == (409, True)
    await seen.database.fetch("delete from flows where id = 'ask'")
    found = await seen.until("executions-without-flow ask", "webhook-without-flow ask")
    assert f"filas executions cancel {asking}" in found["executions-without-flow ask"]["remedy"]
    assert "version 1 of the flow ask no longer exists" in (await seen.why(execution=asking))["sentence"]
    await seen.pipeline.api("POST", f"/api/executions/{asking}/cancel")
    await seen.until("webhook-without-flow ask")
    await seen.pipeline.api("DELETE", "/api/webhooks/ask")


async def _name_no_flow(seen: Operator) -> None:
    """The events of a webhook start nothing until the flow exists; then they are replayed."""
    await seen.pipeline.api("PUT", "/api/webhooks/soon?force=true", conversation_webhook("soon"))
    found = (await seen.until("webhook-without-flow soon"))["webhook-without-flow soon"]
    assert "the flow soon does not exist" in found["message"]
    event_id = await seen.say("soon", "+1")
    answer = await seen.until_why("failed", event=event_id)
    assert "soon" in answer["sentence"], answer
    await seen.until("webhook-without-flow soon", "dead-letters")
    await seen.pipeline.api("PUT", "/api/flows/soon", flows(seen.outside.url)["work"])
    await seen.until("dead-letters")
    [letter] = await seen.pipeline.api("GET", "/api/dead-letters")
    await seen.pipeline.api("POST", f"/api/dead-letters/{letter['id']}/replay")
    await seen.execution(event_id, "succeeded")
