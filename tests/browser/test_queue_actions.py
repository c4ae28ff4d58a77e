"""What is done with jobs, queues and findings, by mouse and by keyboard, with its effect in Redis and in Postgres."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

import filas
from filas.contract.policies import FLOWS, WEBHOOKS
from filas.queue.redis_client.connection import Redis
from tests.browser.clinic import PHONES, Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.long_form import LONG
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S, eventually

SUCCEEDED = """
select count(*) = 1 from executions where event_id = $1::uuid and status = 'succeeded'"""
LETTER = "select error->>'kind' from dead_letters where job_id = $1"
WORKER = "ingest-worker"

by = pytest.mark.parametrize("how", HOWS)
_amounts = itertools.count(70_001)


@pytest_asyncio.fixture(loop_scope="session")
async def redis(clinic: Clinic) -> AsyncIterator[Redis]:
    """The Redis of the clinic."""
    found = clinic.pipeline.environment
    redis = connect_url(f"redis://{found['REDIS_HOST']}:{found['REDIS_PORT']}/{found['REDIS_DB']}")
    yield redis
    await redis.close()


async def enqueued(clinic: Clinic, amount: int, *, group: str, defer_by: timedelta | None = None) -> str:
    """The id of the job of a payment that a program of the clinic enqueues itself."""
    body = {"telefone": PHONES[2], "nome": "", "pedido": next(clinic.orders), "valor": amount}
    async with filas.Producer.from_env(clinic.pipeline.environment) as producer:
        result = await producer.add_webhook_job(webhook_id="pagamento", body=body, group=group, defer_by=defer_by)
    job_id: str = result.job_id
    return job_id


async def later(clinic: Clinic) -> tuple[str, int]:
    """A job that is due in an hour: its id, and the amount that the accounts receive when it runs."""
    amount = next(_amounts)
    return await enqueued(clinic, amount, group=f"later-{amount}", defer_by=timedelta(hours=1)), amount


async def until_paid(clinic: Clinic, job_id: str, amount: int) -> None:
    """Waits until the job has run and its flow has succeeded: the accounts have received its amount."""
    await clinic.until(SUCCEEDED, job_id.rpartition(":")[2])
    assert any(str(amount).encode() in body for _, body in clinic.outside.at("/financeiro/pagamentos"))


def address(job_id: str) -> str:
    """The page of a job."""
    return f"/jobs/{quote(job_id, safe='')}"


@by
async def test_a_delayed_job_is_promoted(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """From the list of the queue: it runs now, and not in an hour."""
    job_id, amount = await later(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/queues/webhook?state=delayed")
        row = page.locator(f"tr[data-row-href='/dashboard{address(job_id)}']")
        await Hands(page, how).press(row.locator("form[action$='/promote'] button"))
        await page.locator("main [role=status].completed").wait_for()
        await until_paid(clinic, job_id, amount)


@by
async def test_the_next_attempt_of_a_job_is_made_now(
    visitors: Visitors, clinic: Clinic, redis: Redis, how: How
) -> None:
    """A job that has used an attempt offers a retry, and no promotion."""
    job_id, amount = await later(clinic)
    await redis.command("SET", f"arq:retry:{job_id}", 1)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(address(job_id))
        assert await page.locator("form[action$='/promote']").count() == 0
        await Hands(page, how).press(page.locator("form[action$='/retry'] button"))
        await page.locator("main [role=status].completed").wait_for()
        await until_paid(clinic, job_id, amount)


@by
async def test_a_job_is_cancelled_after_a_question(visitors: Visitors, clinic: Clinic, redis: Redis, how: How) -> None:
    """The first button changes nothing. The second one ends the job as a dead letter, and its flow does not run."""
    job_id, amount = await later(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(address(job_id))
        hands = Hands(page, how)
        await hands.press(page.locator("details.confirm > summary"))
        assert await redis.command("ZSCORE", WEBHOOKS.name, job_id) is not None
        await hands.press(page.locator("details.confirm button.danger"))
        assert await clinic.until(LETTER, job_id) == "cancelled"
        assert await redis.command("ZSCORE", WEBHOOKS.name, job_id) is None
        assert not any(str(amount).encode() in body for _, body in clinic.outside.at("/financeiro/pagamentos"))


async def remove_records(page: Page, hands: Hands, state: str) -> None:
    """Chooses all records of the flow queue in this state, and presses the button."""
    form = page.locator("form[data-clean]")
    await hands.choose(form.locator("select[name=queue]"), "flow")
    await hands.choose(form.locator("select[name=state]"), state)
    await hands.choose(form.locator("select[name=age]"), "all")
    await hands.press(form.locator("button"))


@by
async def test_finished_jobs_are_removed(visitors: Visitors, clinic: Clinic, redis: Redis, how: How) -> None:
    """The records of the chosen queue and state go; those of other queues stay."""
    await clinic.execution(await clinic.pay(PHONES[3], 11.5), "succeeded")
    cleaned, kept = (redis.keys(policy.name).named("ring:completed") for policy in (FLOWS, WEBHOOKS))
    newest = await eventually(lambda: redis.command("LINDEX", cleaned, 0))
    before = await redis.command("LLEN", kept)
    assert before
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/queues")
        await remove_records(page, Hands(page, how), "completed")
        await page.locator("[data-clean-progress][data-state=done]").wait_for()
        assert await redis.command("LPOS", cleaned, newest) is None
        assert await redis.command("LLEN", kept) >= before


@by
async def test_the_removal_of_records_is_stopped(visitors: Visitors, clinic: Clinic, redis: Redis, how: How) -> None:
    """It shows how far it is after each request. After Stop there is no further request, and the other records stay."""
    counter = redis.keys(FLOWS.name).named("failed")
    minute = int(time.time() // 60)
    await redis.client.hset(counter, mapping={str(minute - ago): 1 for ago in range(2, 20_002)})
    second, go_on, requests = asyncio.Event(), asyncio.Event(), 0

    async def hold(route: Route) -> None:
        """Holds the second request until the reader has asked to stop."""
        nonlocal requests
        requests += 1
        if requests == 2:
            second.set()
            await go_on.wait()
        await route.continue_()

    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/queues")
        await page.route("**/dashboard/queues/clean", hold)
        hands = Hands(page, how)
        await remove_records(page, hands, "failed")
        progress = page.locator("[data-clean-progress]")
        await asyncio.wait_for(second.wait(), PATIENCE_S)
        assert "0 of 1 lists" in await progress.inner_text()
        await hands.press(progress.locator("button"))
        go_on.set()
        await page.locator("[data-clean-progress][data-state=stopped]").wait_for()
        assert requests == 2
        assert await page.locator("form[data-clean] button").is_enabled()
        assert 0 < await redis.command("HLEN", counter) < 20_000
        await hands.press(page.locator("form[data-clean] button"))
        await page.locator("[data-clean-progress][data-state=done]").wait_for()
        assert not await redis.client.hexists(counter, str(minute - 20_001))


@pytest.mark.skipif(not LONG, reason="the long form only: it stops a worker and starts it again")
@by
async def test_the_doctor_repairs(visitors: Visitors, clinic: Clinic, redis: Redis, how: How) -> None:
    """The first job of a group is lost, and the next one waits for it. The repair makes it available, and it runs."""
    amount = next(_amounts)
    group = f"lost-{amount}"
    clinic.pipeline.kill(WORKER)  # it would repair the group itself after a while
    try:
        first = await enqueued(clinic, amount, group=group)
        second = await enqueued(clinic, next(_amounts), group=group)
        await redis.command("ZREM", WEBHOOKS.name, first)
        await redis.command("DEL", f"arq:job:{first}")
        async with visitors.visitor("operator") as visitor:
            page = await visitor.open("/doctor")
            finding = page.locator("[id^=finding-groups-without-head]")
            await Hands(page, how).press(finding.locator("form[action='/dashboard/doctor/repair'] button"))
            await page.locator("main [role=status].completed").wait_for()
            assert await redis.command("ZSCORE", WEBHOOKS.name, second) is not None
            await finding.wait_for(state="detached")
    finally:
        clinic.pipeline.start(WORKER)
    await clinic.pipeline.until_ready(WORKER)
    await clinic.until(SUCCEEDED, second.rpartition(":")[2])
