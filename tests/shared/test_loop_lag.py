"""The event loop's lag is measured while a private listener runs."""

import asyncio
import time

from filas.observability import metrics
from filas.observability.loop_lag import watch_loop
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from tests.waiting import eventually


def observed(bucket: str | None = None) -> float:
    """Returns the number of sleeps that were too long by at most `bucket` seconds; None: all."""
    if bucket is None:
        return metrics.REGISTRY.get_sample_value("filas_event_loop_lag_seconds_count") or 0.0
    return metrics.REGISTRY.get_sample_value("filas_event_loop_lag_seconds_bucket", {"le": bucket}) or 0.0


async def test_a_handler_that_blocks_the_loop_is_measured() -> None:
    """A third of a second without a yield is counted in the buckets above a quarter of a second."""
    late = observed() - observed("0.25")
    watching = asyncio.create_task(watch_loop(0.01))
    asyncio.get_running_loop().call_soon(time.sleep, 0.35)
    await eventually(lambda: observed() - observed("0.25") > late)
    watching.cancel()


async def test_the_lag_is_measured_while_the_listener_runs() -> None:
    """Every process that has a private listener has the metric."""
    before = observed()
    async with serve_app(build_private_app(Health()), "127.0.0.1", 0):
        await eventually(lambda: observed() > before)
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not [task for task in tasks if "watch_loop" in repr(task)]
