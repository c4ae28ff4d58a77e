"""Calls a step again and again: the one loop behind every background task."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NoReturn

from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger

log = get_logger(__name__)

Step = Callable[[], Awaitable[float | None]]
"""One call. Returns the seconds until the next call; None means the interval of the task."""

RETRY_S: Final = 1.0
LOGGED_AT_FAILURE: Final = 2
"""The consecutive failure at which an unavailable store is logged: the first one may be the moment in which a starting
process connects."""


async def periodic(
    name: str,
    step: Step,
    every_s: float,
    *,
    wait_first: bool = False,
    wake: asyncio.Event | None = None,
    retry_s: tuple[float, float] = (RETRY_S, RETRY_S),
    on_error: Literal["raise", "log"] = "raise",
) -> NoReturn:
    """Calls `step`, waits `every_s` seconds or as many as the step returned, and repeats until it is cancelled.

    `name` appears in the log. `wait_first` waits once before the first call. `wake` ends a wait early when it is set;
    `periodic` clears it before each call.

    If the step raises StoreUnavailable, the next call follows after `retry_s[0]` seconds, doubled at each further
    failure up to `retry_s[1]`; `wake` does not end this wait. Each outage is logged once, and so is its end. Any other
    exception ends the loop, or is logged if `on_error` is "log"; the next call then follows after `every_s` seconds.
    """
    failures = 0
    wait_s: float | None = every_s if wait_first else 0.0
    while True:
        await _wait(every_s if wait_s is None else wait_s, None if failures else wake)
        if wake is not None:
            wake.clear()
        try:
            wait_s = await step()
        except StoreUnavailable as error:
            failures += 1
            if failures == LOGGED_AT_FAILURE:
                log.warning("task.store_unavailable", task=name, store=error.store, reason=error.reason)
            wait_s = min(retry_s[0] * 2 ** min(failures - 1, 30), retry_s[1])
            continue
        except Exception as error:
            if on_error == "raise":
                raise
            log.error("task.failed", task=name, exc_info=error)
            wait_s = every_s
        if failures >= LOGGED_AT_FAILURE:
            log.info("task.store_available", task=name)
        failures = 0


async def _wait(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
