"""flow-runner over real stores: its guarantees when processes die, stores restart, and several processes run."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp

from filas.contract.identity import error_execution_id
from filas.models.executions import ExecutionWithSteps
from filas_local.servers import PostgresServer, RedisServer
from tests.flow_runner.harness import chain, flow, node
from tests.flow_runner.processes import Stores, receiving, running, stores
from tests.long_form import by_form
from tests.waiting import eventually

HI = node("hi", "message", text="Olá {{ vars.nome }}!")
NAME = [{"name": "nome", "default": "ninguém"}]


def _call(url: str) -> dict[str, Any]:
    return node("call", "api", method="POST", url=url, responseMapping=[{"variable": "nome", "path": "body.name"}])


def _visited(execution: ExecutionWithSteps) -> list[str]:
    return [step.node_id for step in execution.steps]


async def test_a_flow_runs_from_its_job_to_its_end(postgres_dsn: str, redis_url: str) -> None:
    """Condition, call, short delay and message: the notification is recorded, and every step is present."""
    rule = {"variable": "{{ webhook.body.text }}", "operator": "equals", "value": "oi"}
    async with receiving() as receiver, stores(postgres_dsn, redis_url) as store, running(postgres_dsn, redis_url):
        is_hi, wait = node("is-hi", "condition", rules=[rule]), node("wait", "delay", ms=300)
        edges = "start>is-hi is-hi.true>call call>wait wait>hi"
        await store.put_flow(flow(is_hi, _call(receiver.url), wait, HI, edges=edges, variables=NAME))
        [done] = await store.finished(await store.start())
        assert (done.status, done.error) == ("succeeded", None)
        assert _visited(done) == ["start", "is-hi", "call", "wait", "hi"]
        assert receiver.calls == [f"{done.id}:3"]
        row = await store.database.fetchrow("select * from notifications")
        assert row is not None
        assert (row["recipient"], row["idempotency_key"]) == ("contact-0", f"{done.id}:5")
        assert "Olá Ana!" in row["payload"]


async def test_a_killed_process_repeats_its_call_under_the_same_key(postgres_dsn: str, redis_url: str) -> None:
    """It is killed between the effect and its checkpoint. The next process finishes every execution once."""
    async with receiving() as receiver, stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(_call(receiver.url), HI, variables=NAME))
        receiver.open.clear()
        async with running(postgres_dsn, redis_url) as process:
            executions = await store.start(10)
            await eventually(lambda: len(receiver.calls) == 10)
            await process.kill()
        receiver.open.set()
        async with running(postgres_dsn, redis_url):
            done = await store.finished(executions)
        assert {(each.status, tuple(_visited(each))) for each in done} == {("succeeded", ("start", "call", "hi"))}
        assert Counter(receiver.calls) == {f"{each.id}:2": 2 for each in done}
        assert await store.database.fetchval("select count(*) from notifications") == 10


async def test_two_processes_never_run_one_execution_at_once(postgres_dsn: str, redis_url: str) -> None:
    """Each call is made once, although two workers claim jobs."""
    async with receiving() as receiver, stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(_call(receiver.url), HI, variables=NAME))
        async with running(postgres_dsn, redis_url), running(postgres_dsn, redis_url):
            done = await store.finished(await store.start(50))
        assert {each.status for each in done} == {"succeeded"}
        assert Counter(receiver.calls) == {f"{each.id}:2": 1 for each in done}


async def test_a_delay_survives_the_restart_of_everything(own_postgres: PostgresServer, own_redis: RedisServer) -> None:
    """The worker and both stores are killed and Redis is emptied: the flow continues when its delay ends."""
    dsn = own_postgres.dsn()
    async with stores(dsn, own_redis.url) as store, running(dsn, own_redis.url) as process:
        await store.put_flow(chain(node("wait", "delay", ms=8000), HI, variables=NAME))
        executions = await store.start(5)

        async def all_wait() -> bool:
            return {(await store.get(each)).status for each in executions} == {"waiting-timer"}

        await eventually(all_wait)
        await process.kill()
    own_redis.kill()
    own_postgres.kill()
    await asyncio.to_thread(own_postgres.start)
    await asyncio.to_thread(own_redis.start)
    own_redis.execute("FLUSHALL")
    async with stores(dsn, own_redis.url) as store, running(dsn, own_redis.url):
        done = await store.finished(executions)
    assert {(each.status, tuple(_visited(each))) for each in done} == {("succeeded", ("start", "wait", "hi"))}


async def test_a_reply_resumes_and_a_deadline_ends_a_wait(postgres_dsn: str, redis_url: str) -> None:
    """Two conversations wait for an hour. One receives a reply, and the other one's flow times out after eight
    seconds."""
    wait = node("wait", "delay", ms=3_600_000, endOnReply=True)
    async with stores(postgres_dsn, redis_url) as store, running(postgres_dsn, redis_url):
        definition = chain(wait, HI, variables=NAME, settings={"timeoutMs": 8000})
        await store.put_flow(definition)
        [silent, talking] = [*await store.start(contact="silent"), *await store.start(contact="talking")]

        async def both_wait() -> bool:
            return {(await store.get(each)).status for each in (silent, talking)} == {"waiting-timer"}

        await eventually(both_wait)
        [reply] = await store.finished(await store.start(contact="talking"))
        assert (reply.status, reply.resumed_id, reply.steps) == ("succeeded", talking, [])
        answered, late = await store.finished([talking, silent])
        assert (answered.status, _visited(answered)) == ("succeeded", ["start", "wait", "hi"])
        assert (late.status, _visited(late), late.steps[-1].status) == ("timed-out", ["start", "wait"], "cancelled")
        assert late.started_at is not None
        assert late.ended_at is not None
        assert 8 <= (late.ended_at - late.started_at).total_seconds() < 40


async def test_an_error_flow_runs_in_the_conversation(postgres_dsn: str, redis_url: str) -> None:
    """The end of the failed execution starts it, with a job of its own."""
    async with stores(postgres_dsn, redis_url) as store, running(postgres_dsn, redis_url):
        sorry = node("sorry", "message", text="{{ webhook.body.error.kind }}")
        await store.flows.store("sorry", chain(sorry), "sorry", publish=True)
        await store.put_flow(chain(node("no", "end", status="failed"), settings={"errorFlowId": "sorry"}))
        [failed] = await store.finished(await store.start())
        [started] = await store.finished([error_execution_id(failed.id)])
        assert (failed.status, started.status, started.flow_id, _visited(started)) == (
            "failed",
            "succeeded",
            "sorry",
            ["start", "sorry"],
        )
        assert started.conversation_id == failed.conversation_id
        assert '"ended"' in await store.database.fetchval("select payload from notifications")


COUNTS = """
select count(*) filter (where status = 'waiting-timer') as waiting,
    count(*) filter (where status = 'running') as running
from executions"""

LATENESS = """
select max(extract(epoch from ended_at - (input->>'until')::timestamptz))::float8 from steps where type = 'delay'"""


async def test_an_emptied_redis_loses_and_repeats_no_execution(postgres_dsn: str, own_redis: RedisServer) -> None:
    """As many executions wait as run when Redis is emptied. All finish once, and the waits end at their time."""
    many, wait_ms = by_form((150, 15_000), (1000, 25_000))
    waits = node(
        "waits",
        "condition",
        rules=[{"variable": "{{ conversation.contact }}", "operator": "starts-with", "value": "w"}],
    )
    wait = node("wait", "delay", ms=wait_ms)
    async with receiving() as receiver, stores(postgres_dsn, own_redis.url) as store:
        edges = "start>waits waits.true>wait wait>hi waits.false>call call>hi"
        call = _call(receiver.url)
        call["data"] |= {"timeoutMs": 50_000}
        await store.put_flow(flow(waits, wait, call, HI, edges=edges, variables=NAME))
        async with running(postgres_dsn, own_redis.url, FLOW_RUNNER_CONCURRENCY=str(2 * many)):
            receiver.open.clear()
            executions = [*await store.start(many, prefix="waiting"), *await store.start(many, prefix="running")]

            async def all_under_way() -> bool:
                row = await store.database.fetchrow(COUNTS)
                return row is not None and (row["waiting"], row["running"]) == (many, many)

            await eventually(all_under_way)
            own_redis.execute("FLUSHALL")
            receiver.open.set()
            await eventually(lambda: _all_ended(store, 2 * many), 120)
            late_s = await store.database.fetchval(LATENESS)
        done = Counter([(each.status, *_visited(each)) for each in [await store.get(one) for one in executions]])
        assert done == {
            ("succeeded", "start", "waits", "wait", "hi"): many,
            ("succeeded", "start", "waits", "call", "hi"): many,
        }
        assert len(set(receiver.calls)) == many, "a call was made under two keys"
        assert await store.database.fetchval("select count(*) from notifications") == 2 * many
        assert late_s < by_form(20, 5)


async def _all_ended(store: Stores, count: int) -> bool:
    return bool(await store.database.fetchval("select count(*) = $1 from executions where ended_at is not null", count))


async def test_a_stopped_process_leaves_its_executions_to_the_next(postgres_dsn: str, redis_url: str) -> None:
    """SIGTERM: the run ends at its next node and is saved. Nothing is repeated. The exit code is 0."""
    async with receiving() as receiver, stores(postgres_dsn, redis_url) as store:
        second = _call(receiver.url) | {"id": "second"}
        await store.put_flow(chain(_call(receiver.url), second, HI, variables=NAME))
        receiver.open.clear()
        async with running(postgres_dsn, redis_url) as process:
            executions = await store.start(5)
            await eventually(lambda: len(receiver.calls) == 5)
            stopping = asyncio.create_task(process.stop())
            await _unready(process.port)
            receiver.open.set()
            assert await stopping == 0
        assert len(receiver.calls) == 5, "the second call is left to the next process"
        async with running(postgres_dsn, redis_url):
            done = await store.finished(executions)
        assert {each.status for each in done} == {"succeeded"}
        assert set(Counter(receiver.calls).values()) == {1}


async def _unready(port: int) -> None:
    async with aiohttp.ClientSession() as session:

        async def shows_it() -> bool:
            async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status == 503

        await eventually(shows_it)


async def test_without_stores_it_is_alive_and_not_ready(own_postgres: PostgresServer, own_redis: RedisServer) -> None:
    """It starts while both stores are unavailable, reports which ones, and becomes ready when they are available."""
    own_redis.kill()
    own_postgres.kill()
    async with running(own_postgres.dsn(), own_redis.url) as process, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{process.port}"

        async def ready() -> dict[str, Any] | None:
            try:
                async with session.get(f"{url}/readyz") as answer:
                    return {"code": answer.status, **await answer.json()}
            except aiohttp.ClientError:
                return None

        async def names_both() -> bool:
            said = await ready()
            return said is not None and set(said.get("problems", {})) >= {"postgres", "redis"}

        async def is_ready() -> bool:
            said = await ready()
            return said is not None and said["code"] == 200

        await eventually(names_both)
        async with session.get(f"{url}/livez") as alive:
            assert alive.status == 200
        await asyncio.to_thread(own_postgres.start)
        await asyncio.to_thread(own_redis.start)
        await eventually(is_ready)
        assert await process.stop() == 0
