"""Works on the replay runs: a chunk of each in turn, at the rate of each.

Every `ingest admin` has a runner. A run belongs to one of them under a lease; if that process ends, another one
continues after the last saved chunk. Rows that were replayed are not selected again, so that a chunk whose progress was
not saved is not replayed twice.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.errors import StoreUnavailable
from filas.models.replay_runs import ClaimedReplayRun, ReplayProgress, ReplayRun
from filas.observability.logs import get_logger
from ingest.api.history.replay_run_steps import STEPS
from ingest.api.routing.api_context import ApiContext

log = get_logger(__name__)

LEASE_S: Final = 15.0
CHUNK: Final = 100
"""How many rows are replayed between two looks at whether the run was stopped."""

MAX_RUNS: Final = 10
IDLE_S: Final = 2.0
PACE_S: Final = 0.2
"""The time between two chunks of a run with a rate."""

BURST_S: Final = 1.0
"""Of how many seconds the rows of a rate may be replayed at once."""


class ReplayRunner:
    """Call `step` again and again, with the pause that it returns."""

    def __init__(self, context: ApiContext, *, clock: Callable[[], float] = monotonic) -> None:
        self._context = context
        self._clock = clock
        self._owner = str(new_id())
        self._paces: dict[UUID, _Pace] = {}

    async def step(self) -> float:
        """Replays one chunk of each run. Returns in how many seconds the next call is due. Raises StoreUnavailable."""
        runs = await self._context.replay_runs.claim(self._owner, LEASE_S, MAX_RUNS)
        self._paces = {one.run.id: self._paces.get(one.run.id) or _Pace(self._clock()) for one in runs}
        pauses = [await self._advance(one) for one in runs]
        return min(pauses, default=IDLE_S)

    async def _advance(self, claimed: ClaimedReplayRun) -> float:
        """Replays the next chunk of a run. Returns when the next one is due, in seconds."""
        run = claimed.run
        left = run.definition.limit - run.handled
        allowed = self._paces[run.id].allowed(run.rate, min(left, CHUNK), self._clock())
        if left > 0 and allowed == 0:
            return PACE_S
        try:
            progress = await STEPS[run.definition.kind](self._context, claimed, allowed) if left > 0 else None
        except StoreUnavailable:
            raise
        except Exception as error:
            log.error("replay_run.failed", run_id=str(run.id), exc_info=error)
            await self._context.replay_runs.end(run.id, "failed", f"{type(error).__name__}: {error}"[:500])
            return 0.0
        if progress is None:
            await self._context.replay_runs.end(run.id, "finished")
            log.info("replay_run.finished", run_id=str(run.id), replayed=run.replayed, refused=run.refused_count)
            return 0.0
        await self._save(claimed, progress)
        return 0.0 if run.rate is None else PACE_S

    async def _save(self, claimed: ClaimedReplayRun, progress: ReplayProgress) -> ReplayRun | None:
        self._paces[claimed.run.id].used(progress.handled)
        return await self._context.replay_runs.save(claimed, progress, self._owner, LEASE_S)


class _Pace(msgspec.Struct):
    """How many rows of a run may be replayed now. One at the start; then as many as the rate allows."""

    at: float
    tokens: float = 1.0

    def allowed(self, rate: float | None, most: int, now: float) -> int:
        """The number of rows, at most `most`."""
        if rate is None:
            return most
        self.tokens = min(self.tokens + rate * (now - self.at), max(rate * BURST_S, 1.0))
        self.at = now
        return min(int(self.tokens), most)

    def used(self, count: int) -> None:
        """Counts rows that were replayed."""
        self.tokens -= count
