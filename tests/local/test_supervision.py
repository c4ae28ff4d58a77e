"""Processes under supervision: restarts after a death, an end after repeated deaths, and an orderly stop."""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filas_local.launching import bound_to_parent, run_directory
from filas_local.supervision import EXITS_BEFORE_GIVING_UP, GROUP, Program, Supervisor, Watch
from filas_local.terminal import LogReader, ServiceLog, Terminal
from tests.local.processes import alive
from tests.waiting import eventually

STAYS = "import os, time; print('here is', os.getpid(), flush=True); time.sleep(600)"
DIES = "import sys; print('no luck', flush=True); sys.exit(3)"


class Running:
    """A supervisor over small programs, and its output."""

    def __init__(self, run_dir: Path) -> None:
        self.output = io.StringIO()
        self.terminal = Terminal(self.output, ["stays", "dies"])
        self.watch = Watch(self.terminal)
        self.reader = LogReader()
        self._run_dir = run_dir
        self._supervisor: Supervisor | None = None

    async def start(self, **programs: str) -> Supervisor:
        """Runs each program's Python source under its name."""
        commands = [Program(name, bound_to_parent([sys.executable, "-c", source])) for name, source in programs.items()]
        self._supervisor = Supervisor(commands, self._run_dir, self._run_dir / "log", self.reader, self.watch)
        (self._run_dir / "log").mkdir()
        self._supervisor.start({})
        await eventually(self._supervisor.ready)
        self._supervisor.start_services()
        return self._supervisor

    def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop(threading.Event())
        self.reader.close()

    def printed(self, text: str) -> Callable[[], bool]:
        """A condition: the text has appeared."""
        return lambda: text in self.output.getvalue()

    def log(self, name: str) -> str:
        """The file with the lines of this process."""
        return (self._run_dir / "log" / f"{name}.log").read_text()

    def pid_of(self, supervisor: Supervisor, name: str) -> int:
        pid: int = supervisor.ask("getProcessInfo", f"{GROUP}:{name}")["pid"]
        return pid


@pytest.fixture
def running() -> Iterator[Running]:
    """A supervisor that starts nothing yet. Its processes end with the test."""
    with run_directory() as path:
        running = Running(path)
        yield running
        running.stop()


@pytest.mark.starts_processes
async def test_a_process_that_is_killed_is_named_and_restarted(running: Running) -> None:
    """The log names the process that died and the reason. The lines of the new process have the same name."""
    supervisor = await running.start(stays=STAYS)
    await eventually(running.printed("stays | here is"))
    first = running.pid_of(supervisor, "stays")
    supervisor.ask("signalProcess", f"{GROUP}:stays", "KILL")
    await eventually(running.printed("stays died (terminated by SIGKILL): restarting it"))
    await eventually(running.printed("stays was restarted (pid "))
    second = running.pid_of(supervisor, "stays")
    assert second != first
    await eventually(running.printed(f"here is {second}"))
    assert not running.watch.failed.is_set()


@pytest.mark.starts_processes
async def test_the_supervisor_gives_up_on_a_process_that_keeps_dying(running: Running) -> None:
    """After a bounded number of exits the process is not restarted, and `failed` is set."""
    await running.start(dies=DIES, stays=STAYS)
    await eventually(running.watch.failed.is_set, 120)
    output = running.output.getvalue()
    assert "dies died (exit status 3)" in output
    assert "dies keeps dying: giving up" in output
    assert output.count("no luck") <= EXITS_BEFORE_GIVING_UP + 1


@pytest.mark.starts_processes
async def test_stopping_ends_every_process_and_keeps_its_last_lines(running: Running) -> None:
    """A process gets SIGTERM and time to finish, and its last line is logged. A stop is not reported as a death."""
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


@pytest.mark.starts_processes
async def test_the_lines_of_a_service_are_also_kept_in_its_file(running: Running) -> None:
    """`<name>.log` has every line without the prefix of the terminal."""
    supervisor = await running.start(stays=STAYS)
    await eventually(running.printed("stays | here is"))
    assert running.log("stays") == f"here is {running.pid_of(supervisor, 'stays')}\n"


@pytest.mark.starts_processes
async def test_a_second_request_stops_a_process_that_does_not_finish(running: Running) -> None:
    """A process that ignores its first SIGTERM ends when the user asks again, long before the drain timeout."""
    source = (
        "import signal, sys, time;"
        "asked = [];"
        "drain = lambda: asked.append(print('draining', flush=True));"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1) if asked else drain());"
        "print('working', flush=True);"
        "[time.sleep(0.05) for _ in range(12000)]"
    )
    supervisor = await running.start(stays=source)
    await eventually(running.printed("working"))
    pid = running.pid_of(supervisor, "stays")
    at_once = threading.Event()
    stopping = asyncio.create_task(asyncio.to_thread(supervisor.stop, at_once))
    await eventually(running.printed("draining"))
    at_once.set()
    assert await stopping is False
    await eventually(lambda: not alive(pid), message="the process still runs")


def test_deaths_long_apart_are_not_counted_together() -> None:
    """A process that dies once an hour is restarted every time."""
    output = io.StringIO()
    watch = Watch(Terminal(output, ["stays"]))
    for hour in range(2 * EXITS_BEFORE_GIVING_UP):
        watch.count_exit("stays", "exit status 1", now=3600.0 * hour)
    assert not watch.failed.is_set()
    for second in range(EXITS_BEFORE_GIVING_UP):
        watch.count_exit("stays", "exit status 1", now=1e6 + second)
    assert watch.failed.is_set()


def test_a_log_file_that_cannot_be_written_does_not_stop_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line still appears, and no error is printed between the lines."""
    output = io.StringIO()
    (tmp_path / "stays.log").mkdir()
    log = ServiceLog(Terminal(output, ["stays"]), "stays", tmp_path / "stays.log")
    log.write("one")
    log.write("two")
    assert output.getvalue() == "stays | one\nstays | two\n"
    assert capsys.readouterr().err == ""
