"""Backup and restore by the commands of docs/operations/backup-and-restore.md, with real processes and losses."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from filas_local.servers import PostgresServer, RedisServer, postgres_binary, redis_binary
from tests.e2e.pipeline import Pipeline, Receiver, receiver, until_all_final
from tests.process_table import PROCESSES
from tests.waiting import eventually

GUIDE = Path(__file__).parents[2] / "docs" / "operations" / "backup-and-restore.md"
EACH = 30
"""How many webhooks are posted in each part of a test."""

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Say it",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "say", "type": "message", "data": {"text": "{{ webhook.body.text }}"}},
    ],
    "edges": [{"id": "e1", "source": "start", "target": "say"}],
}
CHANNEL = {"type": "http", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
WEBHOOK = {
    "flowId": "say",
    "rateLimit": {"max": 100_000, "windowMs": 60_000},
    "conversation": {"channel": "outside", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
}


class Installation:
    """Five processes, their two stores, and what the guide's commands need to know of them."""

    def __init__(self, pipeline: Pipeline, postgres: PostgresServer, redis: RedisServer, directory: Path) -> None:
        self.pipeline, self.postgres, self.redis = pipeline, postgres, redis
        self.backup = directory / "backup"
        self.backup.mkdir()
        self.events: dict[str, list[str]] = {}

    def follow(self, part: str) -> None:
        """Run the commands of the guide's section `part` unchanged."""
        found = re.search(rf"<!-- tested: {part} -->\n```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        assert found is not None, f"the guide has no commands for {part}"
        programs = [str(Path(one).parent) for one in (postgres_binary("pg_dump"), redis_binary())]
        environment = os.environ | {
            "PATH": os.pathsep.join([*programs, str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DATABASE_URL": self.postgres.dsn(),
            "REDIS_PORT": str(self.redis.port),
            "REDIS_DATA": str(self.redis.data_dir),
            "BACKUP": str(self.backup),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", found[1]], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{part}:\n{found[1]}\n{done.stdout}\n{done.stderr}"

    async def set_up(self, outside: Receiver) -> None:
        """The flow, its webhook, and a channel to a receiver outside."""
        await self.pipeline.api("PUT", "/api/channels/outside", CHANNEL | {"url": f"{outside.url}/in"})
        await self.pipeline.api("PUT", "/api/flows/say", FLOW)
        await self.pipeline.api("PUT", "/api/webhooks/say", WEBHOOK)

    async def post(self, part: str) -> None:
        """Webhooks of EACH contacts, all answered 200."""
        self.events[part] = []
        for number in range(EACH):
            body = json.dumps({"from": f"{part}-{number}", "text": f"{part} {number}"}).encode()
            status, answer = await self.pipeline.webhook("say", body)
            assert status == 200
            self.events[part].append(answer["eventId"])

    async def post_unfinished(self, part: str) -> None:
        """The same while no flow-runner runs. Returns when the job of every execution is waiting."""
        self.pipeline.kill("flow-runner")
        await self.post(part)

        async def queued() -> bool:
            stats = await self.pipeline.api("GET", "/api/queue/stats")
            return bool(stats["queues"]["flow"]["waiting"] == EACH)

        await eventually(queued)

    async def until_idle(self) -> None:
        """Wait until no queue holds anything."""

        async def idle() -> bool:
            summary = (await self.pipeline.api("GET", "/api/queue/stats"))["summary"]
            return not (summary["totalWaiting"] or summary["totalActive"] or summary["totalDelayed"])

        await eventually(idle, timeout=60)

    def kill_processes(self) -> None:
        """Kill all processes, as when the machine fails."""
        for name in PROCESSES:
            self.pipeline.kill(name)

    async def start_processes(self) -> None:
        """Start all processes, as the guide's last step does."""
        for name in PROCESSES:
            self.pipeline.start(name)
        for name in PROCESSES:
            await self.pipeline.until_ready(name)


def received(outside: Receiver) -> dict[str, Counter[str]]:
    """For each text: how often each idempotency key arrived with it."""
    found: dict[str, Counter[str]] = {}
    for headers, body in outside.at("/in"):
        found.setdefault(json.loads(body)["text"], Counter())[headers["idempotency-key"]] += 1
    return found


def sent_texts(part: str) -> list[str]:
    """The texts that the flows of a part send."""
    return [f"{part} {number}" for number in range(EACH)]


@pytest.mark.parametrize("redis_backup", ["kept", "lost"])
async def test_everything_accepted_before_the_backup_is_finished_exactly_once(
    own_postgres: PostgresServer, own_redis: RedisServer, tmp_path: Path, redis_backup: str
) -> None:
    """Both stores are destroyed and restored, Redis from its own backup or empty.

    What was finished before the backup is not repeated; what was accepted and not finished is finished, once, under the
    key that its message had before.
    """
    async with receiver() as outside, Pipeline(own_redis.url, own_postgres.dsn(), tmp_path) as pipeline:
        installation = Installation(pipeline, own_postgres, own_redis, tmp_path)
        await installation.set_up(outside)
        await installation.post("finished")
        await until_all_final(pipeline, EACH)
        await installation.until_idle()
        await installation.post_unfinished("accepted")

        installation.follow("backup")

        await installation.post("later")
        pipeline.start("flow-runner")
        await until_all_final(pipeline, 3 * EACH)
        await installation.until_idle()
        before = received(outside)
        assert {text: keys.total() for text, keys in before.items()} == dict.fromkeys(
            [*sent_texts("finished"), *sent_texts("accepted"), *sent_texts("later")], 1
        )

        installation.kill_processes()
        for server in (own_redis, own_postgres):
            server.kill()
            shutil.rmtree(server.data_dir)
        if redis_backup == "lost":
            shutil.rmtree(installation.backup / "redis")
            (installation.backup / "redis").mkdir()
        own_postgres.start()
        own_postgres.ensure_database()
        own_redis.data_dir.mkdir()
        installation.follow("restore-redis" if redis_backup == "kept" else "restore-postgres")
        if redis_backup == "kept":
            installation.follow("restore-postgres")
        own_redis.start()

        await installation.start_processes()
        ended = await until_all_final(pipeline, 2 * EACH)
        await installation.until_idle()

    wanted = [*installation.events["finished"], *installation.events["accepted"]]
    assert sorted(one["eventId"] for one in ended) == sorted(wanted)
    assert {one["status"] for one in ended} == {"succeeded"}
    after = received(outside)
    for text in sent_texts("finished"):
        assert after[text].total() == 1, f"{text} was repeated"
    for text in sent_texts("accepted"):
        assert after[text].keys() == before[text].keys(), f"{text} arrived under another key"
        assert after[text].total() == 2, (
            "it was finished again, because the restored stores do not contain the first time"
        )
    assert own_postgres.execute("select count(*) from dead_letters", database="filas") == "0"


async def test_a_redis_older_than_postgres_repeats_nothing(
    own_postgres: PostgresServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Redis is restored from a backup with jobs that have been finished since. Their rows show that."""
    async with receiver() as outside, Pipeline(own_redis.url, own_postgres.dsn(), tmp_path) as pipeline:
        installation = Installation(pipeline, own_postgres, own_redis, tmp_path)
        await installation.set_up(outside)
        await installation.post_unfinished("since")

        installation.follow("backup")

        pipeline.start("flow-runner")
        await until_all_final(pipeline, EACH)
        await installation.until_idle()
        own_redis.kill()
        shutil.rmtree(own_redis.data_dir)
        own_redis.data_dir.mkdir()
        installation.follow("restore-redis")
        own_redis.start()

        await installation.post("new")
        await until_all_final(pipeline, 2 * EACH)
        await installation.until_idle()
        steps = own_postgres.execute("select count(*) from steps", database="filas")
    assert {text: keys.total() for text, keys in received(outside).items()} == dict.fromkeys(
        [*sent_texts("since"), *sent_texts("new")], 1
    )
    assert steps == str(2 * 2 * EACH)
    assert own_postgres.execute("select count(*) from dead_letters", database="filas") == "0"
