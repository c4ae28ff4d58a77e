"""Processes under supervision: restarted when they die, given up when they die again and again, ended in order."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filas_local.launching import bound_to_parent, run_directory
from filas_local.supervision import EXITS_BEFORE_GIVING_UP, GROUP, Program, Supervisor, Watch
from filas_local.terminal import LogReader, Terminal
from tests.local.processes import alive
from tests.waiting import eventually

STAYS = "import os, time; print('here is', os.getpid(), flush=True); time.sleep(600)"
DIES = "import sys; print('no luck', flush=True); sys.exit(3)"


class Running:
    """A supervisor over small programs, with what it has printed."""

    def __init__(self, run_dir: Path) -> None:
        self.output = io.StringIO()
        self.terminal = Terminal(self.output, ["stays", "dies"])
        self.watch = Watch(self.terminal)
        self.reader = LogReader()
        self._run_dir = run_dir
        self._supervisor: Supervisor | None = None

    async def start(self, **programs: str) -> Supervisor:
        """Run each program's Python source under its name."""
        commands = [Program(name, bound_to_parent([sys.executable, "-c", source])) for name, source in programs.items()]
        self._supervisor = Supervisor(commands, self._run_dir, self._run_dir, self.reader, self.watch)
        self._supervisor.start({})
        await eventually(self._supervisor.ready)
        self._supervisor.start_services()
        return self._supervisor

    def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()
        self.reader.close()

    def printed(self, text: str) -> Callable[[], bool]:
        """A condition: the text has appeared."""
        return lambda: text in self.output.getvalue()

    def pid_of(self, supervisor: Supervisor, name: str) -> int:
        pid: int = supervisor.ask("getProcessInfo", f"{GROUP}:{name}")["pid"]
        return pid


@pytest.fixture
def running() -> Iterator[Running]:
    """Nothing yet; whatever it starts is ended with the test."""
    with run_directory() as path:
        running = Running(path)
        yield running
        running.stop()


async def test_a_process_that_is_killed_is_named_and_started_again(running: Running) -> None:
    """The log says which process died and of what; the new one's lines stand behind the same name."""
    supervisor = await running.start(stays=STAYS)
    await eventually(running.printed("stays | here is"))
    first = running.pid_of(supervisor, "stays")
    supervisor.ask("signalProcess", f"{GROUP}:stays", "KILL")
    await eventually(running.printed("stays died (terminated by SIGKILL): starting it again"))
    await eventually(running.printed("stays runs again (pid "))
    second = running.pid_of(supervisor, "stays")
    assert second != first
    await eventually(running.printed(f"here is {second}"))
    assert not running.watch.failed.is_set()


async def test_a_process_that_keeps_dying_is_given_up(running: Running) -> None:
    """After a bounded number of deaths there is no other try, and whoever waits is told."""
    await running.start(dies=DIES, stays=STAYS)
    await eventually(running.watch.failed.is_set, timeout=40)
    output = running.output.getvalue()
    assert "dies died (exit status 3)" in output
    assert "dies dies again and again: giving up" in output
    assert output.count("no luck") <= EXITS_BEFORE_GIVING_UP + 1


async def test_stopping_ends_every_process_and_keeps_the_last_words(running: Running) -> None:
    """A process gets SIGTERM, its time to finish, and its last line into the log; a stop is no death."""
    source = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: (print('finished', flush=True), sys.exit(0)));"
        "print('working', flush=True);"
        "time.sleep(600)"
    )
    supervisor = await running.start(stays=source)
    await eventually(running.printed("working"))
    pid = running.pid_of(supervisor, "stays")
    running.stop()
    assert not supervisor.running
    assert not alive(pid)
    assert "finished" in running.output.getvalue()
    assert "died" not in running.output.getvalue()


def test_deaths_long_apart_are_not_added_up() -> None:
    """A process that dies once an hour is started again every time."""
    output = io.StringIO()
    watch = Watch(Terminal(output, ["stays"]))
    for hour in range(2 * EXITS_BEFORE_GIVING_UP):
        watch.count_exit("stays", "exit status 1", now=3600.0 * hour)
    assert not watch.failed.is_set()
    for second in range(EXITS_BEFORE_GIVING_UP):
        watch.count_exit("stays", "exit status 1", now=1e6 + second)
    assert watch.failed.is_set()
