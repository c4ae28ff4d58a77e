"""The shutdown delay of `ingest serve`: load balancers need time to notice that the process is not ready."""

import asyncio
import signal
import sys

from aiohttp import ClientSession

from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.postgres.database import Database
from filas_local.servers import PostgresServer, RedisServer
from tests.ingest.serving import webhook
from tests.ingest.test_processes import Process, environment, running
from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually

DELAY_S = 2


async def _ready(process: Process, status: int, *words: str) -> bool:
    found, text = await process.get("/readyz")
    return found == status and all(word in text for word in words)


async def _store_a_webhook(dsn: str) -> None:
    """Stores the webhook `ping`, to which everyone may post. A process that is ready knows it."""
    database = Database(dsn, application_name="tests")
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        await WebhookRepository(database).store(webhook("ping"))
    finally:
        await database.close()


async def test_webhooks_are_accepted_while_the_process_is_not_ready(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """It is not ready at once. Webhooks are accepted on old and new connections, and each answer closes its connection.

    A second signal ends the delay: the process ends at once.
    """
    variables = environment(
        own_redis.url, own_postgres.dsn(), SHUTDOWN_DELAY_S="600", INGEST_SERVE_ADMIN_PORT=str(free_port())
    )
    url = f"http://127.0.0.1:{variables['INGEST_PORT']}/webhooks/ping"
    await _store_a_webhook(own_postgres.dsn())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest", "serve", env=variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with ClientSession() as session, ClientSession() as kept, ClientSession() as fresh:
            seen = Process(process, int(variables["INGEST_SERVE_ADMIN_PORT"]), session)
            await eventually(lambda: _ready(seen, 200))
            async with kept.post(url, json={"n": 1}) as answer:
                assert (answer.status, answer.headers.get("Connection")) == (200, None)
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: _ready(seen, 503, "draining"))
            for client in (kept, fresh):
                async with client.post(url, json={"n": 2}) as answer:
                    assert (answer.status, answer.headers.get("Connection")) == (200, "close")
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1


async def test_the_process_ends_after_the_delay(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """And not before."""
    loop = asyncio.get_running_loop()
    variables = environment(own_redis.url, own_postgres.dsn(), SHUTDOWN_DELAY_S=str(DELAY_S))
    async with running("serve", variables) as process:
        await eventually(lambda: _ready(process, 200))
        began = loop.time()
        process.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.process.wait(), PATIENCE_S)
        assert loop.time() - began >= DELAY_S
