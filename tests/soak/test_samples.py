"""What is recorded each minute is what the kernel and the stores report."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from filas.contract.identity import new_id
from filas_local.servers import PostgresServer, RedisServer
from tests.shared.repository.rollup_rows import COLUMNS, INSERTS
from tests.soak import samples

SLEEPING = "import sys; sys.stdin.read()"

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")


def test_a_process_with_more_memory_and_files_has_larger_samples(tmp_path: Path) -> None:
    before = samples.of_process(os.getpid())
    memory = bytearray(os.urandom(1)) * (32 * samples.MIB)
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        after = samples.of_process(os.getpid())
    assert len(memory) == 32 * samples.MIB
    assert after["private"] - before["private"] > 30
    assert after["rss"] - before["rss"] > 30
    assert after["files"] == before["files"] + 2
    assert after["threads"] >= 1


@pytest.mark.starts_processes
def test_the_children_of_a_process_are_found() -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPING!r}]); print(); {SLEEPING}"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the child was started
        assert len(samples.descendants(process.pid)) == 2
        process.communicate()


def test_the_series_of_the_servers(redis_server: RedisServer, postgres_server: PostgresServer) -> None:
    redis_server.execute("SET soak-key 1", database=15)
    found = samples.all_of_a_moment({"this": os.getpid()}, redis_server, postgres_server)
    names = {
        f"{group}/{name}" for group in ("memory", "files", "threads", "cpu") for name in ("this", "redis", "postgres")
    }
    assert found.keys() >= names | {"rss/this", "redis/memory", "redis/keys", "redis/clients", "machine/load"}
    assert found["memory/postgres"] > 0
    assert found["threads/postgres"] > 3, "the server has processes of its own"
    assert found["files/redis"] > 0
    redis_server.execute("DEL soak-key", database=15)


async def test_the_series_of_the_database(owner_dsn: str) -> None:
    settings = {"application_name": "filas-soak 1.0"}
    async with asyncpg.create_pool(owner_dsn, min_size=1, max_size=1, server_settings=settings) as pool:
        now = datetime.now(UTC)
        for number in range(100):
            status = "processed" if number else "received"
            event = {"id": new_id(), "webhook": "shop", "status": status, "received": now, "processed": now}
            await pool.execute(INSERTS["events"], *(event[column] for column in COLUMNS["events"]))
            ended = now + timedelta(milliseconds=10 * (number + 1))
            times = {"queued": now, "started": now, "ended": ended}
            run = {"id": new_id(), "flow": "order", "status": "succeeded", "event": event["id"], "turn": 1} | times
            await pool.execute(INSERTS["executions"], *(run.get(column) for column in COLUMNS["executions"]))
        await pool.execute("delete from executions where ended_at > $1", now + timedelta(milliseconds=505))
        await pool.execute("select pg_stat_force_next_flush()")
        await pool.execute("analyze")
        found = await samples.of_postgres(pool, "order")
    assert found["rows/executions"] == 50
    assert found["dead/executions"] == 50
    assert found["unfinished/events"] == 1
    assert found["unfinished/executions"] == 0
    assert found["latency/flow p50"] == pytest.approx(255)
    assert found["latency/flow p99"] == pytest.approx(495, abs=6)
    assert found["table/events"] >= 2 * 8192 / samples.MIB
    assert found["index/events.events_pkey"] > 0
    assert 0.3 < found["free/executions"] < 0.9, "half of the rows are dead"
    assert found["free/events"] < found["free/executions"]
    assert found["postgres/database"] > 1
    assert found["sessions/filas-soak"] == 1


def test_percentiles() -> None:
    assert samples.percentiles("accept", range(100)) == {"latency/accept p50": 50, "latency/accept p99": 99}
    assert samples.percentiles("accept", []) == {}
