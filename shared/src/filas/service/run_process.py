"""Runs one process: reads its settings, configures logs and tracing, handles signals, and sets the exit code."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import uvloop

from filas.errors import SettingsError
from filas.observability import logs
from filas.settings.process_settings import ProcessSettings
from filas.settings.settings_reader import load
from filas.tracing import switch

log = logs.get_logger(__name__)

SettingsType = TypeVar("SettingsType", bound=ProcessSettings)
Main = Callable[[SettingsType, asyncio.Event], Awaitable[None]]
"""The work of a process. It gets the settings and the event that asks it to stop, and returns when it has stopped."""


def run_process(
    name: str, settings_type: type[SettingsType], main: Main[SettingsType], environ: Mapping[str, str]
) -> int:
    """Runs `main` until SIGTERM or SIGINT. Returns the exit code for `sys.exit`.

    0: the process stopped as asked. 1: it failed, and the log has the reason. 2: a setting is wrong, and one line on
    standard error names its variable. A second signal stops the process without waiting for the work under way.
    """
    try:
        settings = load(settings_type, environ)
        switch.on(settings.tracing, name)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings.logs.log_level, settings.logs.log_format, name)
    for variable in settings.weak_keys:
        log.warning("settings.weak_key", variable=variable, remedy="set a random value: openssl rand -hex 32")
    try:
        return _run(name, settings, main)
    finally:
        switch.off()


def _run(name: str, settings: SettingsType, main: Main[SettingsType]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_stopped(name, settings, main))
        except asyncio.CancelledError:
            log.warning("process.interrupted")
            return 1
        except OSError as error:
            log.error("process.failed", error=str(error))
            return 1
        except Exception as error:
            log.error("process.failed", exc_info=error)
            return 1
    return 0


async def _until_stopped(name: str, settings: SettingsType, main: Main[SettingsType]) -> None:
    stop = asyncio.Event()
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    log.info("process.started", process=name)
    await main(settings, stop)
    log.info("process.stopped", process=name)
