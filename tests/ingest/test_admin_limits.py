"""`python -m ingest admin` has few connections to Postgres, and gives up a slow statement."""

import asyncio
import time

import pytest
from aiohttp import ClientSession

from filas.repository.postgres.database import Database
from tests.ingest.test_processes import TOKEN, Process, environment, running
from tests.waiting import PATIENCE_S, eventually

POOL_SIZE = 4
STATEMENT_TIMEOUT_S = 2.0
REQUESTS = 12
CONNECTIONS = """
select count(*) from pg_stat_activity
where application_name like 'filas-ingest-admin %' and application_name not like '%-watch'"""

WAITING = """
select count(*) from pg_stat_activity
where application_name like 'filas-ingest-admin %' and wait_event_type = 'Lock'"""


async def _flows(process: Process) -> tuple[int, str]:
    """Status and text of the answer to a list of flows, on a connection of its own."""
    url = f"http://127.0.0.1:{process.port}/api/flows"
    async with ClientSession() as session, session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        return answer.status, await answer.text()


@pytest.mark.starts_processes
async def test_slow_statements_are_ended_and_hold_few_connections(redis_url: str, postgres_dsn: str) -> None:
    """While a table is locked, requests for it are answered 503, with at most four connections; then 200 again."""
    database = Database(postgres_dsn, application_name="tests", max_size=2)
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        async with running("admin", environment(redis_url, postgres_dsn)) as process:

            async def ready() -> bool:
                return (await process.get("/readyz"))[0] == 200

            await eventually(ready)
            async with database.transaction() as locking:
                await locking.execute("lock table flows in access exclusive mode")
                asked = [asyncio.create_task(_flows(process)) for _ in range(REQUESTS)]
                await eventually(lambda: database.fetchval(WAITING))
                seen_waiting, connections = time.monotonic(), 0
                first: set[asyncio.Task[tuple[int, str]]] = set()
                while not first:
                    connections = max(connections, int(await database.fetchval(CONNECTIONS)))
                    first, _ = await asyncio.wait(asked, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                # The other processes wait 10 seconds for a statement.
                assert time.monotonic() - seen_waiting < 4 * STATEMENT_TIMEOUT_S
                assert 1 < connections <= POOL_SIZE
                answers = [one.result() for one in first]
            answers += await asyncio.gather(*(one for one in asked if one not in first))
            assert {status for status, _ in answers} <= {200, 503}
            assert (answers[0][0], "a statement took too long" in answers[0][1]) == (503, True), answers[0]

            async def answers_again() -> bool:
                return (await _flows(process))[0] == 200

            await eventually(answers_again)
    finally:
        await database.close()
