"""One local run, from the first check until the last process has ended."""

import asyncio
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from filas.repository import migrate, roles
from filas_local import demo, environment, sign_in_link
from filas_local.home import Home
from filas_local.launching import LocalRunError, bound_to_parent, run_directory
from filas_local.processes import PROCESSES
from filas_local.reloading import package_directories, restart_on_changes
from filas_local.servers import EmbeddedServer, PostgresServer, RedisServer
from filas_local.supervision import Program, Supervisor, Watch
from filas_local.terminal import LogReader, Terminal

READY_TIMEOUT_S = 60.0
EXPORTED = ("DATABASE_URL", "FILAS_ADMIN_TOKEN", "FILAS_SECRET_KEY", "ADMIN_HOST", *environment.PORTS)


class Stopped(Exception):
    """The user asked to stop before everything was up."""


@dataclass(frozen=True)
class StopRequest:
    """The user's requests to stop: the first one waits for the work under way, the second one does not."""

    requested: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Event = field(default_factory=threading.Event)

    def request(self) -> None:
        """Records one request. Called by signal handlers."""
        if self.requested.is_set():
            self.at_once.set()
        self.requested.set()


class LocalRun:
    """Prepares the servers, starts everything under a supervisor, loads the demo, and stops everything in order."""

    def __init__(self, home: Home, environ: Mapping[str, str], terminal: Terminal, stop: StopRequest) -> None:
        self._home = home
        self._environment = environment.with_defaults(environ)
        self._terminal = terminal
        self._stop = stop
        self._watch = Watch(terminal)
        self._servers: list[EmbeddedServer] = []

    def run(self) -> None:
        """Returns after a request to stop. Raises LocalRunError if it cannot start or if a process keeps dying."""
        with ExitStack() as stack:
            run_dir = stack.enter_context(run_directory())
            self._complete_environment(run_dir)
            environment.check(self._environment)
            for server in self._servers:
                server.prepare()
            reader = LogReader()
            supervisor = Supervisor(self._programs(), run_dir, self._home.log, reader, self._watch)
            stack.callback(reader.close)
            stack.callback(self._end, supervisor)
            try:
                supervisor.start(self._environment)
                self._bring_up(supervisor)
                self._wait_until_stopped(supervisor)
            except Stopped:
                return

    def _complete_environment(self, run_dir: Path) -> None:
        """Adds what the environment does not set: keys, and the addresses of the embedded servers."""
        variables = self._environment
        embedded: dict[str, str] = {}
        for name, key in (("FILAS_ADMIN_TOKEN", "admin-token"), ("FILAS_SECRET_KEY", "secret-key")):
            variables[name] = variables.get(name) or self._home.key(key)
        if environment.uses_embedded_redis(variables):
            password = self._home.key("redis-password")
            redis = RedisServer(self._home.redis, password=password, log_path=self._home.log / "redis.log")
            self._servers.append(redis)
            variables |= {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port), "REDIS_PASSWORD": password}
            for name in ("REDIS_USERNAME", "REDIS_DB", "REDIS_TLS"):
                variables.pop(name, None)
            embedded[environment.EMBEDDED_REDIS] = f"{redis.host}:{redis.port}"
        if environment.uses_embedded_postgres(variables):
            log = self._home.log / "postgres.log"
            postgres = PostgresServer(self._home.postgres, socket_dir=run_dir / "pg", log_path=log)
            self._servers.append(postgres)
            variables["DATABASE_URL"] = embedded[environment.EMBEDDED_DATABASE_URL] = postgres.dsn(user=roles.WRITE)
            variables["DATABASE_READ_URL"] = postgres.dsn(user=roles.READ)
        exported = {name: value for name, value in variables.items() if name in EXPORTED or name.startswith("REDIS_")}
        exported["FILAS_URL"] = environment.admin_url(variables)
        if variables.get("REDIS_PASSWORD"):
            exported["REDISCLI_AUTH"] = variables["REDIS_PASSWORD"]
        self._home.write_environment(exported | embedded)

    def _programs(self) -> list[Program]:
        programs = [
            Program(server.name, server.command(), server.stop_signal.name.removeprefix("SIG"), server.log_path)
            for server in self._servers
        ]
        for process in PROCESSES:
            nice = ["nice", "-n", str(process.niceness)] if process.niceness else []
            command = bound_to_parent([*nice, sys.executable, "-m", *process.arguments])
            programs.append(Program(process.name, command))
        return programs

    def _bring_up(self, supervisor: Supervisor) -> None:
        self._wait_for(supervisor.ready, "supervisord")
        for server in self._servers:
            server.wait_ready(self._raise_if_over)
        try:
            asyncio.run(migrate.migrate(self._owners_address()))
        except Exception as error:
            # The user gets one line that names the setting, whatever the error of the driver or of a migration is.
            raise LocalRunError(f"DATABASE_URL: the database cannot be migrated: {error!r}") from None
        self._raise_if_over()
        supervisor.start_services()
        for process in PROCESSES:
            self._wait_for_service(process.name, process.admin_port)
        api = (environment.admin_url(self._environment), self._environment["FILAS_ADMIN_TOKEN"])
        demo.load(*api)
        self._terminal.plain(self._banner(sign_in_link.create(*api)))

    def _owners_address(self) -> str:
        """The database as the user that migrates it. The embedded server gets its database and its roles first."""
        for server in self._servers:
            if isinstance(server, PostgresServer):
                server.ensure_database()
                asyncio.run(roles.create_roles(server.dsn(), {}))
                return server.dsn(user=roles.MIGRATE)
        return self._environment["DATABASE_URL"]

    def _wait_until_stopped(self, supervisor: Supervisor) -> None:
        if self._environment.get("RELOAD") == "1":
            arguments = (package_directories(), supervisor, self._terminal, self._stop.requested)
            threading.Thread(target=restart_on_changes, args=arguments, name="reload", daemon=True).start()
        while not self._stop.requested.wait(0.2):
            if not supervisor.running:
                raise LocalRunError(f"supervisord has ended: see {self._home.log / 'supervisord.log'}")
            if self._watch.failed.is_set():
                raise LocalRunError("stopped, because a process kept dying: its last log lines are above")

    def _end(self, supervisor: Supervisor) -> None:
        if supervisor.running:
            self._terminal.notice("stopping after the work under way (Ctrl-C again stops at once)")
            if not supervisor.stop(self._stop.at_once):
                self._terminal.notice("stopping at once")
            self._terminal.notice("stopped")

    def _wait_for_service(self, name: str, port_name: str) -> None:
        address = environment.admin_url(self._environment, port_name)
        self._wait_for(lambda: _answers_200(f"{address}/readyz"), name)

    def _wait_for(self, condition: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not condition():
            self._raise_if_over()
            if time.monotonic() > deadline:
                raise LocalRunError(f"{name} is not ready after {READY_TIMEOUT_S:.0f} s: its last log lines are above")
            time.sleep(0.05)

    def _raise_if_over(self) -> None:
        if self._stop.requested.is_set():
            raise Stopped
        if self._watch.failed.is_set():
            raise LocalRunError("Filas cannot start, because a process kept dying: its last log lines are above")

    def _banner(self, dashboard: str) -> str:
        api = environment.admin_url(self._environment)
        kept = f"set -a; . {_short(self._home.path)}/env"
        return "\n".join(
            (
                "",
                "Filas is up",
                f"  webhooks     {environment.public_url(self._environment)}/webhooks/…",
                f"  API          {api}/api/…",
                f"  admin token  {self._environment['FILAS_ADMIN_TOKEN']}",
                f"  for a shell  {kept}   (then .venv/bin/filas stats, doctor, …; .venv/bin/redis-cli -p $REDIS_PORT)",
                "",
                "Try it in another terminal. The answer appears here:",
                "",
                f"  {demo.curl_line(environment.public_url(self._environment))}",
                "",
                "Then see what happened, in a browser. This link signs you in once, within five minutes;",
                "`filas dashboard` prints another one.",
                "",
                f"  Dashboard: {dashboard}",
                "",
            )
        )


def _answers_200(url: str) -> bool:
    # The environment may name a proxy; loopback addresses must not go through it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
