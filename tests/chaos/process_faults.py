"""Faults of the processes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.installation import Installation, Maker
from tests.chaos.schedule import GROUPS, UPGRADED, Fault

STEPS_S: Final = (90.0, 3600.0)
"""How far a clock is ahead or behind, in turn."""


@asynccontextmanager
async def _killed(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    async with installation.held(fault.target):
        installation.pipeline.kill(fault.target)
        try:
            yield
        finally:
            installation.pipeline.start(fault.target)


@asynccontextmanager
async def _stopped(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    async with installation.held(fault.target):
        pid = installation.pipeline.pids[fault.target]
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself, which the checker reports
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def _restarted(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    async with installation.held(fault.target):
        await asyncio.to_thread(installation.pipeline.drain, fault.target)
        try:
            yield
        finally:
            installation.pipeline.start(fault.target)


@asynccontextmanager
async def _replaced(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    """A deploy of the same build."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_replace(installation, fault.processes))
        yield


@asynccontextmanager
async def _upgraded(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    """A deploy of a newer build that is rolled back, and then made for all. What the newer build has enqueued before it
    was rolled back waits for the last step."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_upgrade(installation, GROUPS.get(fault.target, (fault.target,))))
        yield


@asynccontextmanager
async def _stepped(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    seconds = STEPS_S[fault.number % len(STEPS_S)]
    installation.builds.step(fault.target, seconds if fault.kind == "clock-ahead" else -seconds)
    try:
        yield
    finally:
        installation.builds.step(fault.target, 0.0)


async def _upgrade(installation: Installation, names: Iterable[str]) -> None:
    builds = installation.builds
    present, newer = builds.newest, builds.newest + 1
    await _replace(installation, names, newer)
    await _replace(installation, names, present)
    builds.newest = newer
    await _replace(installation, UPGRADED, newer)


async def _replace(installation: Installation, names: Iterable[str], build: int | None = None) -> None:
    """One process after the other, by the same or another build."""
    for name in names:
        async with installation.held(name):
            if build is not None:
                installation.pipeline.wrappers[name] = installation.builds.wrapper(name, build)
            # A process that has ended by itself is reported by the checker.
            with contextlib.suppress(AssertionError):
                await installation.pipeline.replace(name)


PROCESS_FAULTS: Final[Mapping[str, Maker]] = {
    "kill": _killed,
    "stop": _stopped,
    "restart": _restarted,
    "rolling-restart": _replaced,
    "upgrade": _upgraded,
    "clock-ahead": _stepped,
    "clock-behind": _stepped,
}
"""How each kind is made."""
