"""Runs a service whose wall clock a test can step: `python -m tests.hostile.stepped_clock FILE ARGUMENTS`.

FILE contains the seconds that are added to the wall clock, and is a part of the memory of the process: `step` has its
effect at once. The monotonic clock is not changed, as in a step of the machine's clock. ARGUMENTS are those of a
service, or of a module that runs a service.
"""

import datetime
import importlib
import inspect
import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from types import ModuleType

import msgspec

from tests.process_table import PROCESSES

SERVICES = ("filas", "ingest", "flow_runner", "notifier")


_SECONDS = struct.Struct("d")


class SteppedClock:
    """The wall clock of this process, with the seconds of `file`."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            memory = mmap.mmap(opened.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
        self._step = memoryview(memory).cast("d")
        self._time, self._time_ns = time.time, time.time_ns

    def time(self) -> float:
        """In place of `time.time`."""
        return self._time() + self._step[0]

    def time_ns(self) -> int:
        """In place of `time.time_ns`."""
        return self._time_ns() + int(self._step[0] * 1e9)


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
    [root] = [
        process.composition_root
        for process in PROCESSES.values()
        if process.arguments == arguments[len(arguments) - len(process.arguments) :]
    ]
    importlib.import_module(root)
    replaced = stepped_datetime(clock)
    for module in [*sys.modules.values()]:
        if reads_the_clock(module):
            module.datetime = replaced  # type: ignore[attr-defined]
    sys.argv = [*arguments]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def wrapper(file: Path) -> tuple[str, ...]:
    """Starts a process in a Pipeline with the step in `file`, which is made if it does not exist."""
    if not file.exists():
        file.write_bytes(_SECONDS.pack(0.0))
    return ("tests.hostile.stepped_clock", str(file))


def step(file: Path, seconds: float) -> None:
    """Steps the clock of the process of `file` to `seconds` ahead of the machine's."""
    with file.open("r+b") as opened:  # not truncated: a process that reads it meanwhile would end
        opened.write(_SECONDS.pack(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
