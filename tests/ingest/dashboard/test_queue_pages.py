"""The pages of queues and jobs: what they show, and that each action has its effect in Redis or Postgres."""

import json
import re
import time
from urllib.parse import quote

import msgspec

from filas.contract.policies import FLOWS, WEBHOOKS
from filas.queue.job_format import encode_job
from filas.queue.redis_client.queue_keys import ABORT
from filas.queue.worker_presence import beat
from filas_local.servers import PostgresServer, RedisServer
from tests.freezing import frozen
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api, serving
from tests.ingest.dashboard.browsing import Browser, signed_in
from tests.waiting import eventually

HOSTILE = "<script>alert(1)</script>\u202e</pre>"


async def waiting_job(api: Api, job_id: str, message: object) -> None:
    """Enqueues a due job on `webhook-processing`, with a message from outside."""
    raw = msgspec.Raw(json.dumps(message).encode())
    await api.redis.command("SET", f"arq:job:{job_id}", encode_job("process_webhook", raw, 1_790_000_000_000))
    await api.redis.command("ZADD", WEBHOOKS.name, 1_790_000_000_000, job_id)


async def test_the_list_shows_each_queue_with_its_jobs_and_workers(browser: Browser) -> None:
    await delayed_job(browser.api, "later")
    await beat(browser.api.redis, FLOWS, "a-worker", 3, 10)
    page = await browser.open("/queues")
    for name in ("webhook-processing", "flow-processing", "notifications"):
        assert name in page.text
    assert "3/10" in page.text
    assert "/dashboard/queues/flow" in page.links
    portuguese = await browser.open("/queues", headers={"Accept-Language": "pt-BR"})
    assert "Vagas em uso" in portuguese.text


async def test_pause_and_resume_change_the_queue(browser: Browser) -> None:
    page = await browser.open("/queues")
    page = await browser.submit(page, "/dashboard/queues/flow/pause")
    assert "flow-processing is paused" in page.text
    assert await browser.api.context.pauses.all() == {"flow-processing"}
    page = await browser.submit(page, "/dashboard/queues/flow/resume")
    assert await browser.api.context.pauses.all() == set()
    assert page.url == "/dashboard/queues"


async def test_a_viewer_cannot_act(viewer: Browser) -> None:
    """The page states why, and the server refuses a form that the page has not offered."""
    await delayed_job(viewer.api, "later")
    for path in ("/queues", "/queues/webhook?state=delayed", "/jobs/later"):
        page = await viewer.open(path)
        assert "your role is viewer" in page.text
        assert {form.action for form in page.forms if form.method == "post"} <= {
            "/dashboard/preferences", "/dashboard/sign-out", "/dashboard/live/moments",
        }  # fmt: skip
    for path in ("/queues/flow/pause", "/queues/clean", "/jobs/later/promote", "/jobs/later/cancel"):
        await viewer.post(path, status=403)
    assert await viewer.api.context.pauses.all() == set()
    assert await viewer.api.redis.command("ZSCORE", WEBHOOKS.name, "later") is not None


async def test_a_delayed_job_is_promoted_from_the_list_and_cancelled_on_its_page(browser: Browser) -> None:
    await delayed_job(browser.api, "first")
    await delayed_job(browser.api, "second")
    page = await browser.open("/queues/webhook?state=delayed")
    assert "/dashboard/jobs/first" in page.links
    page = await browser.submit(page, "/dashboard/jobs/first/promote")
    job = await browser.api.context.stats.job(WEBHOOKS, "first")
    assert job is not None
    assert job.state == "waiting"
    assert "second" in page.text
    page = await browser.open("/jobs/second")
    page = await browser.submit(page, "/dashboard/jobs/second/cancel")
    assert "The job is cancelled" in page.text
    # A worker makes it a dead letter when it claims the job, and none runs here.
    assert await browser.api.redis.command("ZSCORE", ABORT, "second") is not None


async def test_finished_jobs_are_removed(browser: Browser) -> None:
    names = browser.api.redis.keys(FLOWS.name)
    record = {"id": "x", "name": "run_flow", "attemptsMade": 1, "enqueuedOn": 1, "processedOn": 2, "finishedOn": 3}
    await browser.api.redis.command("LPUSH", names.named("ring:completed"), json.dumps(record))
    page = await browser.open("/queues/flow?state=completed")
    assert "/dashboard/jobs/x" in page.links
    page = await browser.open("/queues")
    await browser.submit(page, "/dashboard/queues/clean", {"queue": "flow", "state": "completed", "age": "all"})
    assert await browser.api.redis.command("LLEN", names.named("ring:completed")) == 0


async def test_many_records_are_removed_in_short_requests(browser: Browser) -> None:
    """The page shows how far it is. Its button continues, and nothing goes on without it."""
    key = browser.api.redis.keys(FLOWS.name).named("completed")
    minute = int(time.time() // 60)
    await browser.api.redis.client.hset(key, mapping={str(minute - ago): 1 for ago in range(2, 12_002)})
    page = await browser.open("/queues")
    fields = {"queue": "flow", "state": "completed", "age": "hour"}
    page = await browser.submit(page, "/dashboard/queues/clean", fields)
    assert 60 < await browser.api.redis.command("HLEN", key) < 12_000
    assert re.search(r"[1-9],\d{3} records removed so far. 0 of 1 lists are done.", page.text)
    assert "/dashboard/queues" in page.links
    while "so far" in page.text:
        page = await browser.submit(page, "/dashboard/queues/clean")
    assert page.url == "/dashboard/queues"
    assert "records were removed." in page.text
    assert 50 < await browser.api.redis.command("HLEN", key) < 70


async def test_a_hostile_message_is_text_and_keeps_its_numbers(browser: Browser) -> None:
    job_id = "{webhook-processing}:a/b?c#" + HOSTILE
    message = {"text": HOSTILE, "id": 9223372036854775807, HOSTILE: [1], "many": {f"key {n}": n for n in range(10_000)}}
    await waiting_job(browser.api, job_id, message)
    listed = await browser.open("/queues/webhook")
    address = "/dashboard/jobs/" + quote(job_id, safe="")
    assert address in listed.links
    page = await browser.open(address.removeprefix("/dashboard"))
    assert "9223372036854775807" in page.text
    for shown in (listed, page):
        assert "<script>alert" not in shown.html
        assert "<script>alert(1)" in shown.text
    assert len(page.html) < 200_000


async def test_a_large_message_is_cut(browser: Browser) -> None:
    await waiting_job(browser.api, "large", {"text": "x" * 2**20})
    page = await browser.open("/jobs/large")
    assert len(page.html) < 100_000
    assert "Only the first" in page.text


async def test_unknown_queues_states_and_jobs(browser: Browser) -> None:
    await browser.open("/queues/nothing", status=404)
    await browser.open("/jobs/nothing", status=404)
    page = await browser.open("/queues/flow?state=nothing")
    assert "cannot be shown" in page.text


async def test_without_redis_the_page_states_since_when(own_redis: RedisServer, postgres_dsn: str) -> None:
    async with serving(own_redis.url, postgres_dsn) as api, signed_in(api) as browser:
        await browser.open("/queues")
        with frozen(own_redis):

            async def states_it() -> bool:
                page = await browser.open("/queues")
                return "redis does not answer. Out of date: queues and workers, as of" in page.text

            await eventually(states_it)


async def test_without_postgres_the_queues_are_shown(own_postgres: PostgresServer, redis_url: str) -> None:
    async with serving(redis_url, own_postgres.dsn()) as api, signed_in(api) as browser:
        await browser.open("/queues")
        await delayed_job(api, "later")
        with frozen(own_postgres):

            async def states_it() -> bool:
                page = await browser.open("/queues/webhook?state=delayed")
                return "postgres does not answer. Out of date: pauses" in page.text and "later" in page.text

            await eventually(states_it)


async def test_a_session_of_a_key_sees_the_same_pages(api: Api) -> None:
    """An operator may act."""
    key = (await api.post("/keys", {"name": "ana", "role": "operator"})).data["key"]
    await api.context.access.keys.refresh()
    async with signed_in(api, key) as browser:
        page = await browser.open("/queues")
        await browser.submit(page, "/dashboard/queues/webhook/pause")
        assert await api.context.pauses.all() == {"webhook-processing"}


async def test_the_error_of_a_failed_job_is_a_sentence(browser: Browser) -> None:
    """In the list, with its kind."""
    names = browser.api.redis.keys(FLOWS.name)
    error = {"kind": "http-status", "message": "the response's status is 503"}
    record = {"id": "x", "name": "run_flow", "attemptsMade": 3, "enqueuedOn": 1, "processedOn": 2, "finishedOn": 3}
    await browser.api.redis.command("LPUSH", names.named("ring:failed"), json.dumps(record | {"error": error}))
    page = await browser.open("/queues/flow?state=failed")
    assert "http-status the response's status is 503" in page.text
    assert "Actions" not in page.text
