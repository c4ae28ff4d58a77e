"""Which build each process runs, and with which clock."""

from pathlib import Path

from tests.chaos.schedule import GROUPS
from tests.hostile import next_version, stepped_clock


class Builds:
    """The builds of the processes. Build 0 is the present one; each later one has a newer schema version of the jobs
    and of the state of executions. `newest` is the one that all processes have unless an upgrade is in progress. The
    clocks of the workers can be stepped; their files are in the directory `clocks`."""

    def __init__(self, clocks: Path) -> None:
        self._clocks = clocks
        self.newest = 0

    def wrapper(self, name: str, build: int) -> tuple[str, ...]:
        """How a Pipeline starts the process with this build."""
        clock = stepped_clock.wrapper(self._clock(name)) if name in GROUPS["workers"] else ()
        return (*clock, next_version.MODULE, str(build)) if build else clock

    def step(self, name: str, seconds: float) -> None:
        """Steps the clock of a worker to `seconds` ahead of the machine's."""
        stepped_clock.step(self._clock(name), seconds)

    def _clock(self, name: str) -> Path:
        return self._clocks / f"{name}.clock"
