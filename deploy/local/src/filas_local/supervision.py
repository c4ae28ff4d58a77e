"""Runs the processes under supervisord, which restarts a process that dies, and reports what supervisord does.

Supervisor (`supervisor` on PyPI) gives up only on a process that dies while it starts. This module also counts the
exits of a process that starts and then dies, and gives up after five exits within a minute.
"""

import os
import re
import shlex
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from filas_local.launching import LocalRunError, bound_to_parent
from filas_local.terminal import LogReader, ServiceLog, Terminal

EXITS_BEFORE_GIVING_UP = 5
EXITS_WINDOW_S = 60.0
DRAIN_TIMEOUT_S = 40
SERVERS_STOP_TIMEOUT_S = 30
GROUP = "filas"

_EXITED = re.compile(r"exited: (?P<name>\S+) \((?P<why>[^;)]*)")
_SPAWNED = re.compile(r"spawned: '(?P<name>\S+)' with pid (?P<pid>\d+)")
_GAVE_UP = re.compile(r"gave up: (?P<name>\S+) ")


@dataclass(frozen=True)
class Program:
    """A process to run. A program with a `log` file is a server: it starts first, stops last, and is not shown in the
    terminal."""

    name: str
    command: list[str]
    stop_signal: str = "TERM"
    log: Path | None = None


@dataclass
class Watch:
    """Reads supervisord's log: reports exits and restarts, and sets `failed` when a process keeps dying."""

    terminal: Terminal
    failed: threading.Event = field(default_factory=threading.Event)
    stopping: bool = False
    _exits: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def read(self, line: str) -> None:
        """Handles one line of supervisord's log."""
        if self.stopping:
            return
        if found := _EXITED.search(line):
            self.count_exit(found["name"], found["why"], time.monotonic())
        elif (found := _SPAWNED.search(line)) and self._exits[found["name"]]:
            self.terminal.notice(f"{found['name']} was restarted (pid {found['pid']})")
        elif found := _GAVE_UP.search(line):
            self._give_up(found["name"])

    def count_exit(self, name: str, why: str, now: float) -> None:
        """Counts one exit at `now` (seconds of a monotonic clock)."""
        exits = self._exits[name]
        exits.append(now)
        while exits[0] < now - EXITS_WINDOW_S:
            exits.popleft()
        if len(exits) >= EXITS_BEFORE_GIVING_UP:
            self.terminal.notice(f"{name} died ({why})")
            self._give_up(name)
        else:
            self.terminal.notice(f"{name} died ({why}): restarting it")

    def _give_up(self, name: str) -> None:
        if not self.failed.is_set():
            self.terminal.notice(f"{name} keeps dying: giving up")
            self.failed.set()


class Supervisor:
    """supervisord as a child process. `run_dir` is temporary and has a short path, because it contains the socket."""

    def __init__(self, programs: list[Program], run_dir: Path, log_dir: Path, reader: LogReader, watch: Watch) -> None:
        self._programs = programs
        self._run_dir = run_dir
        self._log_dir = log_dir
        self._reader = reader
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether supervisord itself runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts supervisord and the servers. The services start with `start_services`.

        The lines of each service go to the terminal and to `<name>.log` in the log directory.
        """
        for program in self._programs:
            if program.log is None:
                log = ServiceLog(self._watch.terminal, program.name, self._log_dir / f"{program.name}.log")
                self._reader.add_fifo(self._fifo(program.name), log.write)
        path = self._run_dir / "supervisord.conf"
        path.write_text(self._configuration())
        log_reader, log_writer = os.pipe()
        self._process = subprocess.Popen(
            bound_to_parent([sys.executable, "-m", "supervisor.supervisord", "--configuration", str(path)]),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log_writer,
            stderr=log_writer,
            # Ctrl-C reaches only `filas up`, which stops everything in order.
            start_new_session=True,
        )
        os.close(log_writer)
        self._reader.add_descriptor(log_reader, self._watch.read)
        self._reader.start()

    def start_services(self) -> None:
        """Starts every program that is not a server, and returns at once."""
        self.ask("startProcessGroup", GROUP, False)

    def restart(self, names: list[str]) -> None:
        """Stops these services as a deploy does (they drain), and starts them again."""
        for name in names:
            self.ask("stopProcess", f"{GROUP}:{name}")
            self.ask("startProcess", f"{GROUP}:{name}", False)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Calls supervisord's XML-RPC interface. Raises LocalRunError."""
        socket_url = f"unix://{self._run_dir / 'supervisor.sock'}"
        proxy = xmlrpc.client.ServerProxy("http://supervisor", transport=SupervisorTransport("", "", socket_url))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, xmlrpc.client.Error) as error:
            raise LocalRunError(f"supervisord: {method} failed: {error}") from None

    def ready(self) -> bool:
        """Whether supervisord answers calls."""
        try:
            return bool(self.ask("getState"))
        except LocalRunError:
            return False

    def stop(self, at_once: threading.Event) -> bool:
        """Lets the services drain, then stops the servers, then supervisord. Returns True when all have ended.

        Returns False if it had to kill supervisord, because `at_once` was set or the time was up. The kernel then
        signals every child: a service that already drains stops at once, and the servers shut down.
        """
        self._watch.stopping = True
        if self._process is None or not self.running:
            return True
        self._process.terminate()
        deadline = time.monotonic() + DRAIN_TIMEOUT_S + SERVERS_STOP_TIMEOUT_S
        while self._process.poll() is None:
            if at_once.wait(0.05) or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                return False
        return True

    def _fifo(self, name: str) -> Path:
        return self._run_dir / f"{name}.log"

    def _configuration(self) -> str:
        sections: dict[str, dict[str, object]] = {
            "supervisord": {
                "nodaemon": "true",
                "logfile": self._log_dir / "supervisord.log",
                "logfile_maxbytes": "1MB",
                "logfile_backups": 1,
                "pidfile": self._run_dir / "supervisord.pid",
                "childlogdir": self._run_dir,
                "identifier": "filas",
            },
            "unix_http_server": {"file": self._run_dir / "supervisor.sock", "chmod": "0700"},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
            f"group:{GROUP}": {
                "programs": ",".join(program.name for program in self._programs if program.log is None),
                # Groups stop in reverse order of their priority, one after the other, so the servers stop last.
                "priority": 100,
            },
        }
        if os.geteuid() == 0:
            sections["supervisord"]["user"] = "root"
        for program in self._programs:
            sections[f"program:{program.name}"] = self._section(program)
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
            for name, values in sections.items()
        )

    def _section(self, program: Program) -> dict[str, object]:
        return {
            "command": shlex.join(program.command).replace("%", "%%"),
            "autostart": "true" if program.log else "false",
            "autorestart": "true",
            "startsecs": 2,
            "startretries": EXITS_BEFORE_GIVING_UP,
            "stopsignal": program.stop_signal,
            "stopwaitsecs": DRAIN_TIMEOUT_S,
            "priority": 1,
            "redirect_stderr": "true",
            "stdout_logfile": str(program.log or self._fifo(program.name)).replace("%", "%%"),
            "stdout_logfile_maxbytes": "5MB" if program.log else 0,
            "stdout_logfile_backups": 1 if program.log else 0,
        }
