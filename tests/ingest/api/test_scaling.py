"""`GET /api/scaling`: how many workers the queues ask for."""

import asyncio
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from filas.contract import policies
from filas.contract.identity import new_id
from filas.contract.job_factories import job_of
from filas.contract.jobs import FlowJob
from filas.contract.policies import FLOWS
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.worker.worker import Worker
from ingest.api.operations.scaling_routes import WORKERS
from tests.ingest.api.serving import Api
from tests.waiting import eventually


async def enqueue_jobs(api: Api, number: int) -> None:
    """Enqueues the first runs of executions."""
    for _ in range(number):
        await api.context.producer.enqueue(job_of(FlowJob(execution_id=new_id(), turn=1, flow_id="greeting")))


async def test_every_queue_has_its_worker(api: Api) -> None:
    """One entry per kind of worker. Without jobs, each asks for the lower bound."""
    data = (await api.get("/scaling")).data
    assert [entry["worker"] for entry in data["workers"]] == list(WORKERS)
    assert {entry["queue"] for entry in data["workers"]} == set(policies.BY_NAME)
    assert data["scaleDownWindowS"] == 300
    for entry in data["workers"]:
        assert (entry["replicas"], entry["current"], entry["min"], entry["max"]) == (1, 0, 1, 10)
        assert entry["reasons"][0] == {
            "code": "empty",
            "en": "No job waits and no worker runs.",
            "pt": "Nenhum job espera e nenhum worker está ativo.",
        }


async def test_an_overloaded_worker_asks_for_one_more(api: Api) -> None:
    """With full slots and waiting jobs, with the reason. A paused queue asks for the present number."""
    go_on = asyncio.Event()

    async def handle(_context: JobContext, _job: FlowJob) -> None:
        await go_on.wait()

    async def no_letters(_letters: object) -> None:
        """Accepts dead letters; these tests have none."""

    await enqueue_jobs(api, 8)
    function = JobFunction(FLOWS.function, handle, FlowJob)
    worker = Worker(api.redis, FLOWS, [function], concurrency=2, dead_letters=no_letters)
    running = asyncio.create_task(worker.run())
    try:

        async def asks_for_two() -> bool:
            entry = (await api.get("/scaling/flow-runner")).data
            return (entry["current"], entry["replicas"]) == (1, 2)

        await eventually(asks_for_two)

        async def too_old() -> Any:
            entry = (await api.get("/scaling/flow-runner", params={"targetAgeS": "0.1"})).data
            return entry if entry["reasons"][0]["code"] == "too-old" else None

        entry = await eventually(too_old)
        figures = entry["figures"]
        assert (figures["waiting"], figures["busyNow"], figures["drainRate"]) == (6, 1.0, 0.0)
        assert figures["oldestAgeS"] > 0.1
        await api.post("/queue/flow/pause")
        entry = (await api.get("/scaling/flow-runner")).data
        assert (entry["replicas"], entry["reasons"][0]["code"], entry["figures"]["paused"]) == (1, "paused", True)
    finally:
        go_on.set()
        worker.stop()
        await running


async def test_a_request_may_have_other_bounds(api: Api) -> None:
    """As the URL of KEDA. The reasons show a bound that decides."""
    await enqueue_jobs(api, 1)
    entry = (await api.get("/scaling/flow-runner", params={"min": "3", "max": "4"})).data
    assert (entry["replicas"], entry["min"], entry["max"]) == (3, 3, 4)
    assert [reason["code"] for reason in entry["reasons"]] == ["no-worker", "at-least"]
    assert (await api.get("/scaling/notifier", params={"min": "0"})).data["replicas"] == 0


async def test_keda_finds_the_number(api: Api) -> None:
    """With the URLs of deploy/kubernetes/components/keda-api, at their `valueLocation`."""
    path = Path(__file__).parents[3] / "deploy/kubernetes/components/keda-api/scaled-objects.yaml"
    documents = [one for one in yaml.safe_load_all(path.read_text()) if one["kind"] == "ScaledObject"]
    assert {one["metadata"]["name"] for one in documents} == WORKERS.keys()
    for document in documents:
        [trigger] = document["spec"]["triggers"]
        url = urlsplit(trigger["metadata"]["url"])
        answer = await api.get(url.path.removeprefix("/api"), params=dict(parse_qsl(url.query)))
        found = reduce(lambda part, key: part[key], trigger["metadata"]["valueLocation"].split("."), answer.json)
        assert found == document["spec"]["minReplicaCount"], answer.text


async def test_a_wrong_request_is_rejected(api: Api) -> None:
    """Contradicting bounds, an unknown worker, a wrong number, no token."""
    for params, field in [({"min": "11"}, "min"), ({"max": "0"}, "max"), ({"targetAgeS": "0"}, "targetAgeS")]:
        refused = await api.get("/scaling", params=params)
        assert (refused.status, refused.json["errors"][0]["field"]) == (422, field), refused.text
    assert (await api.get("/scaling/ingest")).status == 404
    assert (await api.call("GET", "/scaling", token=None)).status == 401
