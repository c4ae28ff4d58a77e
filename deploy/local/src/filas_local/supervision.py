"""The processes under supervisord, which restarts what dies; we read its log and say so, and know when it is enough.

Supervisor (supervisor on PyPI) by its own means gives up only on a process that dies while it starts. A process
that comes up and dies again and again is counted here.
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
from functools import partial
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from filas_local.launching import LocalRunError, bound_to_parent
from filas_local.terminal import LogReader, Terminal

EXITS_BEFORE_GIVING_UP = 5
EXITS_WINDOW_S = 60.0
DRAIN_TIMEOUT_S = 40
GROUP = "filas"

_EXITED = re.compile(r"exited: (?P<name>\S+) \((?P<why>[^;)]*)")
_SPAWNED = re.compile(r"spawned: '(?P<name>\S+)' with pid (?P<pid>\d+)")
_GAVE_UP = re.compile(r"gave up: (?P<name>\S+) ")


@dataclass(frozen=True)
class Program:
    """A process to run. One with a `log` file is a server: started at once, stopped last, not in the terminal."""

    name: str
    command: list[str]
    stop_signal: str = "TERM"
    log: Path | None = None


@dataclass
class Watch:
    """What supervisord's log tells about the processes, and when to give up."""

    terminal: Terminal
    failed: threading.Event = field(default_factory=threading.Event)
    stopping: bool = False
    _exits: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def read(self, line: str) -> None:
        """Take a line of supervisord's log."""
        if self.stopping:
            return
        if found := _EXITED.search(line):
            self.count_exit(found["name"], found["why"], time.monotonic())
        elif (found := _SPAWNED.search(line)) and self._exits[found["name"]]:
            self.terminal.say(f"{found['name']} runs again (pid {found['pid']})")
        elif found := _GAVE_UP.search(line):
            self._give_up(found["name"])

    def count_exit(self, name: str, why: str, now: float) -> None:
        """A process has died at `now` (seconds of any clock that only grows)."""
        exits = self._exits[name]
        exits.append(now)
        while exits[0] < now - EXITS_WINDOW_S:
            exits.popleft()
        if len(exits) >= EXITS_BEFORE_GIVING_UP:
            self.terminal.say(f"{name} died ({why})")
            self._give_up(name)
        else:
            self.terminal.say(f"{name} died ({why}): starting it again")

    def _give_up(self, name: str) -> None:
        if not self.failed.is_set():
            self.terminal.say(f"{name} dies again and again: giving up")
            self.failed.set()


class Supervisor:
    """supervisord as our child. `run_dir` is short-lived and short of name (its socket lies there)."""

    def __init__(self, programs: list[Program], run_dir: Path, log_dir: Path, reader: LogReader, watch: Watch) -> None:
        self._programs = programs
        self._run_dir = run_dir
        self._log_dir = log_dir
        self._reader = reader
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether supervisord itself lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start supervisord and, with it, the servers; the services wait for `start_services`."""
        for program in self._programs:
            if program.log is None:
                self._reader.add_fifo(self._fifo(program.name), partial(self._watch.terminal.line, program.name))
        path = self._run_dir / "supervisord.conf"
        path.write_text(self._configuration())
        log_reader, log_writer = os.pipe()
        self._process = subprocess.Popen(
            bound_to_parent([sys.executable, "-m", "supervisor.supervisord", "--configuration", str(path)]),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log_writer,
            stderr=log_writer,
            # Ctrl-C is for us alone: we stop everything in order.
            start_new_session=True,
        )
        os.close(log_writer)
        self._reader.add_descriptor(log_reader, self._watch.read)
        self._reader.start()

    def start_services(self) -> None:
        """Start every program that is not a server, and return at once."""
        self.ask("startProcessGroup", GROUP, False)

    def restart(self, names: list[str]) -> None:
        """Stop these services as a deploy does (they drain), and start them again."""
        for name in names:
            self.ask("stopProcess", f"{GROUP}:{name}")
            self.ask("startProcess", f"{GROUP}:{name}", False)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call supervisord's own interface. Raises LocalRunError."""
        socket_url = f"unix://{self._run_dir / 'supervisor.sock'}"
        proxy = xmlrpc.client.ServerProxy("http://supervisor", transport=SupervisorTransport("", "", socket_url))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, xmlrpc.client.Error) as error:
            raise LocalRunError(f"supervisord: {method} failed: {error}") from None

    def ready(self) -> bool:
        """Whether supervisord takes calls."""
        try:
            return bool(self.ask("getState"))
        except LocalRunError:
            return False

    def stop(self) -> None:
        """Let the services drain, then stop the servers, then supervisord; return when all are gone."""
        self._watch.stopping = True
        if self._process is None or not self.running:
            return
        self._process.terminate()
        try:
            self._process.wait(DRAIN_TIMEOUT_S + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

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
                # Groups stop in the reverse of this order, one after the other: the servers come last.
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
