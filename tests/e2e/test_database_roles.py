"""Every process works as `filas_write`, and searches as `filas_read`: no process needs the rights of a superuser."""

import json
from pathlib import Path

from filas.repository import roles
from filas_local.servers import PostgresServer
from ingest.api.routes import ROUTES
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, receiver, until_all_final
from tests.e2e.test_restore import CHANNEL, FLOW, WEBHOOK
from tests.process_table import PROCESSES

LISTS = ("events", "executions", "notifications", "dead-letters", "flows", "webhooks", "channels", "schedules")
MESSAGE = "the user lacks a right"


async def check_that_no_route_lacks_a_right(pipeline: Pipeline) -> None:
    """Asks every route that shows something and needs no id, and those of one flow. None is refused by the database."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}/api"
    shown = [route.path for route in ROUTES if route.method == "GET"]
    paths = {path.replace("{id}", "say") for path in shown if path.startswith(("/flows/{id}", "/channels/{id}"))}
    for path in sorted(paths | set(shown)):
        if "{" in path:
            continue
        async with pipeline.session.get(
            url + path, params={"q": "oi"} if path == "/search" else {}, headers=headers
        ) as one:
            assert MESSAGE not in await one.text(), path


async def test_processes_without_administrators_rights_are_enough(
    redis_url: str, fresh_database: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """A message is delivered, and the operator's routes answer. Searches have a connection of their own."""
    pipeline = Pipeline(redis_url, postgres_server.dsn(fresh_database, user=roles.WRITE), tmp_path)
    pipeline.environment["DATABASE_READ_URL"] = postgres_server.dsn(fresh_database, user=roles.READ)
    async with receiver() as outside, pipeline:
        await pipeline.api("PUT", "/api/channels/outside", CHANNEL | {"url": f"{outside.url}/in"})
        await pipeline.api("PUT", "/api/flows/say", FLOW)
        await pipeline.api("PUT", "/api/webhooks/say", WEBHOOK)
        await pipeline.api("PUT", "/api/secrets/key", {"value": "hush"})
        status, _ = await pipeline.webhook("say", json.dumps({"from": "+55", "text": "oi"}).encode())
        assert status == 200
        [ended] = await until_all_final(pipeline, 1)
        assert ended["status"] == "succeeded"
        for kind in LISTS:
            found = await pipeline.api("GET", f"/api/{kind}")
            if kind in {"events", "executions", "notifications"}:
                await pipeline.api("GET", f"/api/{kind}/{found[0]['id']}")
        for method, route in (
            ("POST", f"/api/events/{ended['eventId']}/replay"),
            ("POST", f"/api/executions/{ended['id']}/replay"),
            ("POST", "/api/queue/notification/pause"),
            ("POST", "/api/queue/notification/resume"),
            ("GET", "/api/scaling"),
            ("GET", "/api/queue/stats"),
            ("DELETE", "/api/webhooks/say"),
        ):
            await pipeline.api(method, route)
        await check_that_no_route_lacks_a_right(pipeline)
        parts = {one["part"]: one for one in (await pipeline.api("GET", "/api/doctor"))["parts"]}
        assert parts["postgres"]["ok"] is True, parts["postgres"]
        users = postgres_server.execute(
            f"select distinct application_name, usename from pg_stat_activity where datname = '{fresh_database}'"
        ).splitlines()
        assert {line.partition("|")[2] for line in users} == {roles.WRITE, roles.READ}
        readers = [line for line in users if line.endswith(roles.READ)]
        assert all(line.startswith("filas-ingest-admin") for line in readers), readers
        for name in PROCESSES:
            assert MESSAGE not in pipeline.log(name)
