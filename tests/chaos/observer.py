"""Observes a run through what Filas offers to its users, and collects what it reported."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from tests.chaos.dashboards import Dashboards
from tests.chaos.figures import read_figures
from tests.chaos.observed import Observed
from tests.chaos.schedule import Fault
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline


class Observer:
    """The open dashboards of a run, and the reader of its figures. The run began at `began` (`time.monotonic`), which
    is `began_at`."""

    def __init__(self, pipeline: Pipeline, seed: int, began: float, began_at: datetime) -> None:
        self._pipeline = pipeline
        url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}"
        self._began_at = began_at
        self._began = began
        self._ended_s = 0.0
        self._pids = dict(pipeline.pids)
        self._dashboards = Dashboards(url, ADMIN_TOKEN, seed, self._began)

    @asynccontextmanager
    async def during(self) -> AsyncIterator[None]:
        """Observes while the block runs: the faults and the load."""
        async with self._dashboards.open():
            yield
            self._ended_s = time.monotonic() - self._began

    async def observed(self, pool: "asyncpg.Pool[asyncpg.Record]", faults: Sequence[Fault]) -> Observed:
        """What was reported, with the figures of now. The work has ended."""
        async with self._dashboards.signed_in() as signed_in:
            figures = await read_figures(self._pipeline, pool, faults, self._began_at, signed_in)
        restarted = frozenset(name for name, pid in self._pipeline.pids.items() if pid != self._pids.get(name))
        return Observed(self._dashboards.frames, self._dashboards.readings, self._ended_s, figures, restarted)
