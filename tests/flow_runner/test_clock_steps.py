"""The clock of the store decides when a wait ends, whatever the worker's clock shows."""

from datetime import datetime, timedelta

import pytest

from tests.flow_runner.harness import Harness, chain, compiled_flow, node
from tests.flow_runner.memory import MemoryClock


class SteppedClock(MemoryClock):
    """A worker's clock that is wrong by `step_s` seconds."""

    def __init__(self, step_s: float) -> None:
        super().__init__()
        self.step_s = step_s

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.step_s)


@pytest.mark.parametrize("step_s", [-3600.0, -60.0, 60.0, 3600.0])
async def test_a_wrong_clock_neither_lengthens_a_delay_nor_ends_the_execution(step_s: float) -> None:
    """The execution has a time limit of a minute, and the worker's clock is wrong by at least that."""
    harness = Harness(worker_clock=SteppedClock(step_s))
    compiled = compiled_flow(chain(node("d", "delay", ms=10_000), settings={"timeoutMs": 60_000}))
    row = harness.rows.add()
    began = harness.clock.now()
    assert await harness.run_once(row, compiled) == "waiting-timer"
    assert row.wake_at == began + timedelta(seconds=10)
    harness.clock.advance(10)
    assert await harness.run_once(row, compiled) == "succeeded"
