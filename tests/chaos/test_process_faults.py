"""The faults of processes do what their names mean."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from filas.contract.policies import QUEUES
from tests.chaos.builds import Builds
from tests.chaos.installation import Installation
from tests.chaos.process_faults import PROCESS_FAULTS, STEPS_S
from tests.chaos.schedule import GROUPS, UPGRADED, Fault
from tests.e2e.pipeline import Pipeline, receiver, until_all_final
from tests.hostile.mixed_versions import Sender, define_plain
from tests.process_table import WORKERS
from tests.redis_address import connect_url
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(480)


class Builder:
    """Makes an installation whose processes start as in a run."""

    def __init__(self, redis_url: str, dsn: str, logs: Path) -> None:
        self.redis_url = redis_url
        self._dsn, self._logs = dsn, logs

    @asynccontextmanager
    async def running(self, *twice: str) -> AsyncIterator[Installation]:
        pipeline = Pipeline(self.redis_url, self._dsn, self._logs, twice=twice)
        builds = Builds(self._logs)
        for name in GROUPS["processes"]:
            pipeline.wrappers[name] = builds.wrapper(name, 0)
        async with pipeline:
            unused: Any = None
            yield Installation(pipeline, unused, "unused", {}, {}, builds)


@pytest.fixture
def builder(redis_url: str, postgres_dsn: str, tmp_path: Path) -> Builder:
    return Builder(redis_url, postgres_dsn, tmp_path)


def fault(kind: str, target: str, number: int = 1) -> Fault:
    return Fault(number, kind, target, 0.0, 0.0)


def logged_times(pipeline: Pipeline, name: str, event: str) -> list[str]:
    """The times of the log's lines about an event."""
    lines = [json.loads(line) for line in pipeline.log(name).splitlines() if line.startswith("{")]
    return [line["time"] for line in lines if line["event"] == event]


async def test_a_rolling_restart_replaces_one_process_after_the_other(builder: Builder) -> None:
    async with builder.running("notifier") as installation:
        pipeline = installation.pipeline
        before = pipeline.pids
        started = fault("rolling-restart", "notifiers")
        async with PROCESS_FAULTS[started.kind](installation, started):
            await eventually(lambda: pipeline.pids["notifier-2"] != before["notifier-2"])
            await pipeline.until_ready("notifier")
        changed = {name for name, pid in pipeline.pids.items() if pid != before[name]}
        assert changed == {"notifier", "notifier-2"}
        [stopped] = logged_times(pipeline, "notifier-2", "process.stopped")
        assert logged_times(pipeline, "notifier", "process.started")[-1] < stopped
        assert pipeline.ended == {}


async def test_a_fault_waits_for_an_earlier_one_of_the_same_process(builder: Builder) -> None:
    async with builder.running() as installation:
        before = installation.pipeline.pids["notifier"]
        async with installation.held("notifier"):
            task = asyncio.create_task(_during(installation, fault("kill", "notifier")))
            done, _ = await asyncio.wait([task], timeout=0.3)
            assert not done
            assert installation.pipeline.pids["notifier"] == before
        await task
        assert installation.pipeline.pids["notifier"] != before


async def test_a_clock_is_ahead_or_behind_for_the_time_of_the_fault(builder: Builder) -> None:
    async with builder.running() as installation:
        pipeline = installation.pipeline
        for kind in ("clock-ahead", "clock-behind"):
            stepped = fault(kind, "notifier", number=STEPS_S.index(3600.0))
            async with PROCESS_FAULTS[kind](installation, stepped):
                await pipeline.replace("notifier")
        await pipeline.replace("notifier")
        stopped = [datetime.fromisoformat(one) for one in logged_times(pipeline, "notifier", "process.stopped")]
        now = datetime.now(UTC)
        assert [round((one - now).total_seconds() / 3600) for one in stopped] == [1, -1, 0]


async def test_an_upgrade_goes_back_and_ends_with_a_newer_build_for_all(builder: Builder) -> None:
    """Jobs of the newer version wait for it without using an attempt, and nothing is lost."""
    async with receiver() as outside, builder.running(*WORKERS) as installation:
        pipeline = installation.pipeline
        await define_plain(pipeline, outside)
        before = pipeline.pids
        upgraded = fault("upgrade", "ingest-workers")
        sender = Sender(pipeline, ("plain",))
        async with sender.sending(), PROCESS_FAULTS[upgraded.kind](installation, upgraded):
            await eventually(lambda: "next_version" in _command(pipeline, "ingest-worker"))
            await eventually(lambda: "next_version" not in _command(pipeline, "ingest-worker"), timeout=120)
        changed = {name for name, pid in pipeline.pids.items() if pid != before[name]}
        assert changed == set(UPGRADED) == set(upgraded.processes)
        assert all("next_version\x001" in _command(pipeline, name) for name in UPGRADED)
        assert pipeline.ended == {}
        executions = await until_all_final(pipeline, sender.count)
        assert len(executions) == sender.count
        assert {one["status"] for one in executions} == {"succeeded"}
        assert any("job.newer_version" in pipeline.log(name) for name in GROUPS["flow-runners"])
        assert await pipeline.api("GET", "/api/dead-letters") == []
        redis = connect_url(builder.redis_url)
        try:
            for policy in QUEUES:
                assert await redis.client.hgetall(redis.keys(policy.name).named("counts")) == {}, policy.name
        finally:
            await redis.close()


async def _during(installation: Installation, one: Fault) -> None:
    async with PROCESS_FAULTS[one.kind](installation, one):
        pass


def _command(pipeline: Pipeline, name: str) -> str:
    """The command line of a process; an empty text while it is replaced."""
    try:
        return Path(f"/proc/{pipeline.pids[name]}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
