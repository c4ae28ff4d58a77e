"""Observes processes from outside, and runs `filas up` as a user does."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from filas_local import environment
from tests.ports import free_port
from tests.waiting import eventually

UP_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 120.0


def alive(pid: int) -> bool:
    """Whether a process of this id runs. A zombie does not."""
    return _stat(pid)[0] not in ("Z", "")


def descendants(pid: int) -> dict[int, str]:
    """Returns the command line of every running process below this one, by process id."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and alive(int(entry.name)):
            parents[int(entry.name)] = int(_stat(int(entry.name))[1] or 0)
    found: dict[int, str] = {}
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        for child in wanted:
            with contextlib.suppress(OSError):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def _stat(pid: int) -> tuple[str, str]:
    """Returns state and parent of a process, empty if there is no such process."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return state, parent


class Up:
    """`filas up` in its own home, on free ports, without the servers of the environment of the tests."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.output_path = home.with_name(f"{home.name}.output")
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("REDIS", "DATABASE", "FILAS"))
        }
        self.ports = {name: str(free_port()) for name in environment.PORTS}
        self.environment = {**ours, **self.ports, "FILAS_HOME": str(home), **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    def start(self) -> None:
        """Starts it and returns at once."""
        self._started_at = len(self.output_path.read_text()) if self.output_path.exists() else 0
        with self.output_path.open("ab") as output:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("filas")), "up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def until_up(self) -> None:
        """Waits until it prints that it is up. Fails with the output if it ends instead."""
        await eventually(self._is_up, UP_TIMEOUT_S, message=f"not up:\n{self.output[-4000:]}")

    def _is_up(self) -> bool:
        exit_code = self.process.poll()
        assert exit_code is None, f"it ended with {exit_code}:\n{self.output}"
        return "\nFilas is up\n" in self.output

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """Its output since its last start."""
        return self.output_path.read_text(errors="replace")[self._started_at :]

    def printed(self, text: str, times: int = 1) -> Callable[[], bool]:
        """A condition: the text has appeared at least `times` times."""
        return lambda: self.output.count(text) >= times

    def pid_of(self, argument: str) -> int:
        """Returns the id of the child process that has this argument in its command line."""
        return next(
            pid for pid, command in descendants(self.process.pid).items() if argument in command and "-m" in command
        )

    def run_printed_curl(self) -> int:
        """Sends the request of the printed `curl` line. Returns the status."""
        line = next(line for line in self.output.splitlines() if line.strip().startswith("curl "))
        _, url, _, header, _, body = shlex.split(line)
        name, _, value = header.partition(": ")
        request = urllib.request.Request(url, data=body.encode(), headers={name: value})
        with urllib.request.urlopen(request, timeout=60) as answer:
            status: int = answer.status
            return status

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def filas_up(home: Path, **variables: str) -> Iterator[Up]:
    """Runs `filas up` while the block runs."""
    up = Up(home, **variables)
    up.start()
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.terminate()
            try:
                up.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                up.process.kill()
                up.process.wait()
