"""Starts the services' processes for the tests.

A start of `python -m ingest serve` takes 0.6 s of CPU, nearly all of it for imports, and the tests start hundreds of
processes. So each run or worker of the tests has one parent process per service. The parent imports what the service
imports. The service is a fork of it that then runs the module as `python -m` does: with its own environment, output and
exit code. tests/ingest/test_processes.py and tests/local start the services by their command lines.
"""

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tests.process_table import PROCESSES

_REQUEST_BYTES = 1 << 20


class ServiceProcess:
    """A running service, with the methods of `subprocess.Popen` that tests use. `pid` is the service's own."""

    def __init__(self, report: int) -> None:
        self._report = os.fdopen(report, "rb", buffering=0)
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code (-N: ended by signal N), or None while it runs."""
        return self._exit_code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._exit_code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; does nothing once it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _exit_code(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    *,
    forked: bool = True,
    interpreter: str = sys.executable,
) -> ServiceProcess | subprocess.Popen[bytes]:
    """Run `python -m ARGUMENTS` with exactly this environment; its output goes to two open file descriptors.

    `forked=False` gives it an interpreter of its own, for measurements of its memory and CPU time. `interpreter` is
    that of another checkout, if another commit is measured.
    """
    if not forked:
        return subprocess.Popen([interpreter, "-m", *arguments], env=environment, stdout=stdout, stderr=stderr)
    request = json.dumps({"arguments": [*arguments], "environment": {**environment}}).encode() + b"\n"
    report, reported = os.pipe()
    try:
        socket.send_fds(_parent(*arguments), [request], [reported, stdout, stderr])
    finally:
        os.close(reported)
    return ServiceProcess(report)


@functools.cache
def _parent(*arguments: str) -> socket.socket:
    """The connection to the parent of this service, which ends when this process does."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-m", __name__, str(its.fileno()), *arguments]
    subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    its.close()
    return ours


@dataclass(frozen=True)
class _Request:
    arguments: list[str]
    environment: dict[str, str]


def _receive(control: socket.socket) -> tuple[_Request, list[int]] | None:
    text, files, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 3)
    while text and not text.endswith(b"\n"):
        text += control.recv(_REQUEST_BYTES)
    return (_Request(**json.loads(text)), files) if text else None


def _fork_services(control: socket.socket) -> _Request | None:
    """Fork one process for each request. Returns the request in each of these, and None in the parent at its end."""
    while (received := _receive(control)) is not None:
        request, files = received
        # The process between waits for the service and reports its exit code. The parent waits for nothing.
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            if (service := os.fork()) == 0:
                _take_over(files)
                return request
            _report_exit(service, *files)
        for file in files:
            os.close(file)
    return None


def _take_over(files: list[int]) -> None:
    """Give this process its own output, and the signals of a new one."""
    report, stdout, stderr = files
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for file in (report, stdout, stderr):
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _report_exit(service: int, report: int, stdout: int, stderr: int) -> NoReturn:
    os.close(stdout)
    os.close(stderr)
    os.write(report, f"{service}\n".encode())
    _, status = os.waitpid(service, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(request: _Request) -> None:
    """Run the module as `python -m` does. The caller's frame is the last, so that the interpreter ends as always."""
    os.environ.clear()
    os.environ.update(request.environment)
    module, *arguments = request.arguments
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def main() -> None:
    """Import, then fork for as long as the process of the tests runs."""
    _, connection, *arguments = sys.argv
    [service] = [process for process in PROCESSES.values() if process.arguments == tuple(arguments)]
    importlib.import_module(service.composition_root)
    service.prepared()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=int(connection))
    if (request := _fork_services(control)) is not None:
        _run(request)


if __name__ == "__main__":
    main()
