"""Runs a service whose wall clock the test can step: `python -m tests.hostile.stepped_clock FILE ARGUMENTS`.

FILE contains the seconds that are added to the wall clock. The process reads it at its start and at each SIGUSR1. The
monotonic clock is not changed, as in a step of the machine's clock.
"""

import datetime
import importlib
import inspect
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import msgspec

from tests.process_table import PROCESSES

SERVICES = ("filas", "ingest", "flow_runner", "notifier")


class SteppedClock:
    """The wall clock of this process, with the seconds of `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._time, self._time_ns = time.time, time.time_ns
        self.step_s = 0.0
        self.read()

    def read(self, *_: object) -> None:
        """Reads the step."""
        self.step_s = float(self._file.read_text())

    def time(self) -> float:
        """In place of `time.time`."""
        return self._time() + self.step_s

    def time_ns(self) -> int:
        """In place of `time.time_ns`."""
        return self._time_ns() + int(self.step_s * 1e9)


def stepped_datetime(clock: SteppedClock) -> type[datetime.datetime]:
    """`datetime.datetime` with `now` by the clock."""

    class SteppedDatetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.fromtimestamp(clock.time(), tz)

    return SteppedDatetime


def reads_the_clock(module: ModuleType) -> bool:
    """Whether the module calls `datetime.now` and may get another class: fields of a message need the original."""
    if not module.__name__.startswith(SERVICES) or getattr(module, "datetime", None) is not datetime.datetime:
        return False
    has_fields = any(isinstance(one, type) and issubclass(one, msgspec.Struct) for one in vars(module).values())
    return not has_fields and "datetime.now(" in inspect.getsource(module)


def main(file: str, *arguments: str) -> None:
    """Steps the clock, imports the service, and runs it."""
    clock = SteppedClock(Path(file))
    time.time, time.time_ns = clock.time, clock.time_ns
    [root] = [process.composition_root for process in PROCESSES.values() if process.arguments == arguments]
    importlib.import_module(root)
    replaced = stepped_datetime(clock)
    for module in [*sys.modules.values()]:
        if reads_the_clock(module):
            module.datetime = replaced  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, clock.read)
    sys.argv = [*arguments]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def start(file: Path, arguments: tuple[str, ...], environment: dict[str, str], output: int) -> subprocess.Popen[bytes]:
    """Starts a service with the step in `file`."""
    command = [sys.executable, "-m", __name__, str(file), *arguments]
    return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def step(process: "subprocess.Popen[bytes]", file: Path, seconds: float) -> None:
    """Steps the clock of a process that `start` has started."""
    file.write_text(str(seconds))
    os.kill(process.pid, signal.SIGUSR1)


if __name__ == "__main__":
    main(*sys.argv[1:])
