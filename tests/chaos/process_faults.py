"""Faults of the processes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.installation import Installation, Maker
from tests.chaos.schedule import Fault


@asynccontextmanager
async def _killed(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    installation.pipeline.kill(fault.target)
    try:
        yield
    finally:
        installation.pipeline.start(fault.target)


@asynccontextmanager
async def _stopped(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    pid = installation.pipeline.pids[fault.target]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def _restarted(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    await asyncio.to_thread(installation.pipeline.drain, fault.target)
    try:
        yield
    finally:
        installation.pipeline.start(fault.target)


PROCESS_FAULTS: Final[Mapping[str, Maker]] = {"kill": _killed, "stop": _stopped, "restart": _restarted}
"""How each kind is made."""
