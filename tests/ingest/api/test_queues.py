"""The routes of queues: counts, lists, pauses, and single jobs."""

import asyncio
import re
import time
from typing import Any
from urllib.parse import quote

from filas.contract.identity import new_id
from filas.contract.job_factories import job_of
from filas.contract.jobs import FlowJob
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS, QUEUES
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.worker.worker import Worker
from tests.ingest.api.serving import Api, fields_of
from tests.waiting import PATIENCE_S, eventually

COUNTS = {"waiting", "active", "completed", "failed", "delayed"}


def flow_job() -> FlowJob:
    """Returns the job of the first run of an execution."""
    return FlowJob(execution_id=new_id(), turn=1, flow_id="greeting")


async def no_letters(_letters: Any) -> None:
    """Accepts dead letters; these tests have none."""


async def test_the_statistics_have_their_documented_shape(api: Api) -> None:
    """Exactly the shape of the architecture."""
    await api.context.producer.enqueue(job_of(flow_job()))
    late = flow_job()
    await api.context.producer.enqueue(job_of(late, defer_until_ms=int(time.time() * 1000) + 60_000))
    data = (await api.get("/queue/stats")).data
    assert set(data) == {"queues", "summary", "timestamp"}
    assert set(data["queues"]) == {"webhook", "flow", "notification"}
    for counts in data["queues"].values():
        assert set(counts) == COUNTS | {"activeJobs"}
    assert {name: data["queues"]["flow"][name] for name in COUNTS} == {
        "waiting": 1,
        "active": 0,
        "completed": 0,
        "failed": 0,
        "delayed": 1,
    }
    assert data["summary"] == {
        "totalWaiting": 1,
        "totalActive": 0,
        "totalCompleted": 0,
        "totalFailed": 0,
        "totalDelayed": 1,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["timestamp"])


async def test_an_active_job_is_shown_and_then_counted(api: Api) -> None:
    """While a worker runs it, `activeJobs` has it with its job message. `clean` removes its record."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_context: JobContext, _job: FlowJob) -> None:
        began.set()
        await go_on.wait()

    job = flow_job()
    put = await api.context.producer.enqueue(job_of(job))
    function = JobFunction(FLOWS.function, handle, FlowJob)
    worker = Worker(api.redis, FLOWS, [function], concurrency=2, dead_letters=no_letters)
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(began.wait(), PATIENCE_S)
        flow = (await api.get("/queue/stats")).data["queues"]["flow"]
        assert (flow["waiting"], flow["active"]) == (0, 1)
        [active] = flow["activeJobs"]
        assert set(active) == {"id", "name", "attemptsMade", "processedOn", "data"}
        assert (active["id"], active["name"], active["attemptsMade"]) == (put.job_id, "run_flow", 1)
        assert active["data"]["executionId"] == str(job.execution_id)
        assert abs(active["processedOn"] - time.time() * 1000) < 60_000
        for action in ("retry", "promote"):
            assert (await api.post(f"/jobs/{put.job_id}/{action}")).status == 409
        go_on.set()

        async def completed() -> bool:
            return bool((await api.get("/queue/stats")).data["queues"]["flow"]["completed"] == 1)

        await eventually(completed)
    finally:
        go_on.set()
        worker.stop()
        await asyncio.wait_for(running, PATIENCE_S)
    listed = await api.get("/queue/flow/jobs", params={"state": "completed"})
    assert [item["id"] for item in listed.data] == [put.job_id]
    assert (await api.post("/queue/clean")).data["removed"] == 0
    cleaned = await api.post("/queue/clean", {"queue": "flow", "state": "completed", "olderThanMs": 0})
    assert cleaned.data["removed"] == 1
    assert cleaned.data["queues"] == {"flow-processing": 1}
    assert (await api.get("/queue/flow/jobs", params={"state": "completed"})).data == []


async def test_a_queue_is_paused_and_resumed(api: Api) -> None:
    """By its full or short name. A second pause is no error. Another name is answered 404."""
    assert (await api.post("/queue/flow/pause")).data == {"queue": FLOWS.name, "paused": True, "changed": True}
    assert await api.context.pauses.all() == {FLOWS.name}
    assert (await api.post(f"/queue/{FLOWS.name}/pause")).data["changed"] is False
    assert (await api.post("/queue/flow/resume")).data == {"queue": FLOWS.name, "paused": False, "changed": True}
    assert await api.context.pauses.all() == set()
    assert (await api.post("/queue/flow/resume")).data["changed"] is False
    for action in ("pause", "resume"):
        assert (await api.post(f"/queue/nothing/{action}")).status == 404
    assert (await api.get("/queue/nothing/jobs")).status == 404


async def test_the_body_of_clean_is_checked(api: Api) -> None:
    """422 for the field. Without a body, the defaults apply."""
    assert (await api.post("/queue/clean")).data == {
        "removed": 0,
        "queues": {policy.name: 0 for policy in QUEUES},
        "doneLists": 6,
        "lists": 6,
        "nextCursor": None,
    }
    assert fields_of(await api.post("/queue/clean", {"queue": "nothing"})) == ["queue"]
    assert fields_of(await api.post("/queue/clean", {"state": "waiting"})) == ["state"]
    assert fields_of(await api.post("/queue/clean", {"olderThanMs": -1})) == ["olderThanMs"]
    assert fields_of(await api.post("/queue/clean", {"olderThan": 5})) == ["olderThan"]
    assert fields_of(await api.post("/queue/clean", {"steps": 0})) == ["steps"]
    for cursor in ("nonsense", "WzEsNiwiMCJd", "WzEsMCwieCJd", "WzEsMCwiMCIsMV0", "é"):
        assert fields_of(await api.post("/queue/clean", {"cursor": cursor})) == ["cursor"]


async def test_a_clean_in_steps_continues_where_the_step_before_ended(api: Api) -> None:
    """Each request is short. Together they remove what one request would; jobs that finish meanwhile stay."""
    minute = int(time.time() // 60)
    key = api.redis.keys(FLOWS.name).named("failed")
    old = {str(minute - ago): 1 for ago in range(2, 3002)}
    await api.redis.client.hset(key, mapping={**old, "total": 3000})
    body: dict[str, Any] = {"state": "failed", "olderThanMs": 60_000, "steps": 2}
    removed, requests, done = 0, 0, []
    while True:
        answer = (await api.post("/queue/clean", body)).data
        removed += answer["removed"]
        requests += 1
        done.append((answer["doneLists"], answer["lists"]))
        if answer["nextCursor"] is None:
            break
        body["cursor"] = answer["nextCursor"]
        await api.redis.client.hset(key, str(minute + 1), 1)
    assert removed == 3000
    assert requests > 3
    assert done == sorted(done)
    assert done[-1] == (3, 3)
    assert await api.redis.client.hget(key, str(minute + 1)) == b"1"


async def test_jobs_are_listed_by_state(api: Api) -> None:
    """Page by page, in the order of their due times."""
    put = [await api.context.producer.enqueue(job_of(flow_job())) for _ in range(3)]
    first = await api.get("/queue/flow/jobs", params={"limit": "2"})
    second = await api.get("/queue/flow/jobs", params={"limit": "2", "cursor": first.json["nextCursor"]})
    assert [item["id"] for item in first.data + second.data] == [result.job_id for result in put]
    assert second.json["nextCursor"] is None
    for state in ("delayed", "active", "completed", "failed"):
        assert (await api.get("/queue/flow/jobs", params={"state": state})).data == []
    assert fields_of(await api.get("/queue/flow/jobs", params={"state": "lost"})) == ["state"]
    for cursor in ("nonsense", "LTU=", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        assert fields_of(await api.get("/queue/flow/jobs", params={"cursor": cursor})) == ["cursor"]


async def test_a_job_is_shown_by_its_id(api: Api) -> None:
    """An id may have braces, and the slash of a contact."""
    job = flow_job()
    put = await api.context.producer.enqueue(NewJob(FLOWS, f"{job.key}:a/b", job))
    shown = (await api.get(f"/jobs/{quote(put.job_id, safe='')}")).data
    assert (shown["id"], shown["state"], shown["name"]) == (put.job_id, "waiting", "run_flow")
    assert shown["data"]["executionId"] == str(job.execution_id)


async def test_a_delayed_job_is_promoted(api: Api) -> None:
    """A job that is due in an hour is due now."""
    put = await api.context.producer.enqueue(job_of(flow_job(), defer_until_ms=int(time.time() * 1000) + 3_600_000))
    assert (await api.get(f"/jobs/{put.job_id}")).data["state"] == "delayed"
    assert (await api.post(f"/jobs/{put.job_id}/promote")).data == {"id": put.job_id, "outcome": "done"}
    assert (await api.get(f"/jobs/{put.job_id}")).data["state"] == "waiting"


async def test_a_job_that_waits_for_its_next_attempt_is_due_now(api: Api) -> None:
    """`retry` makes a delayed job due."""
    put = await api.context.producer.enqueue(job_of(flow_job(), defer_until_ms=int(time.time() * 1000) + 3_600_000))
    assert (await api.post(f"/jobs/{put.job_id}/retry")).data["outcome"] == "done"
    assert (await api.get(f"/jobs/{put.job_id}")).data["state"] == "waiting"


async def test_a_job_that_waits_for_its_group_is_not_promoted(api: Api) -> None:
    """409: a promotion would break the order of the conversation."""
    await api.context.producer.enqueue(job_of(flow_job(), group="console:+55"))
    second = await api.context.producer.enqueue(job_of(flow_job(), group="console:+55"))
    reply = await api.post(f"/jobs/{second.job_id}/promote")
    assert (reply.status, reply.json["title"]) == (409, "Conflict")


async def test_a_waiting_job_is_cancelled(api: Api) -> None:
    """The cancel is stored. The worker ends the job when it claims it."""
    put = await api.context.producer.enqueue(job_of(flow_job()))
    assert (await api.post(f"/jobs/{put.job_id}/cancel")).data == {"id": put.job_id, "outcome": "done"}
    assert await api.context.cancels.jobs(FLOWS.name, 10) == [put.job_id.encode()]


async def test_the_cancel_of_a_running_job_reports_that_it_runs(api: Api) -> None:
    """A job that does not exist has no stored cancel."""
    put = await api.context.producer.enqueue(job_of(flow_job()))
    await api.context.redis.command("SET", f"arq:in-progress:{put.job_id}", "epoch-1-1")
    assert (await api.post(f"/jobs/{put.job_id}/cancel")).data == {"id": put.job_id, "outcome": "running"}
    missing = FLOWS.job_id("missing")
    assert (await api.post(f"/jobs/{missing}/cancel")).status == 404
    assert await api.context.cancels.jobs(FLOWS.name, 10) == [put.job_id.encode()]
