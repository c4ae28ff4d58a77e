"""The environment of the processes in a local run: the user's variables, completed with defaults."""

import errno
import socket
from collections.abc import Mapping

from filas.errors import SettingsError
from filas.settings import process_settings, settings_reader
from filas_local.launching import WrongSetting

PORTS = {
    "INGEST_PORT": ("INGEST_HOST", 8080),
    "INGEST_ADMIN_PORT": ("ADMIN_HOST", 8081),
    "FLOW_RUNNER_ADMIN_PORT": ("ADMIN_HOST", 8082),
    "NOTIFIER_ADMIN_PORT": ("ADMIN_HOST", 8083),
    "INGEST_WORKER_ADMIN_PORT": ("ADMIN_HOST", 8084),
    "INGEST_SERVE_ADMIN_PORT": ("ADMIN_HOST", 8085),
}
"""Each port's variable, with the variable of its address and its default."""

LOCAL_DEFAULTS = {
    "INGEST_HOST": "127.0.0.1",
    "ADMIN_HOST": "127.0.0.1",
    "LOG_FORMAT": "console",
    # A developer's flows call services on the developer's machine, and the demo calls Filas itself.
    "OUTBOUND_ALLOW": "127.0.0.0/8",
    "PYTHONUNBUFFERED": "1",
    "FILAS_LOCAL_RUN": "true",
    **{name: str(default) for name, (_, default) in PORTS.items()},
}


EMBEDDED_REDIS = "FILAS_EMBEDDED_REDIS"
EMBEDDED_DATABASE_URL = "FILAS_EMBEDDED_DATABASE_URL"
"""The addresses of an embedded server, as `.filas/env` exports them beside REDIS_HOST and DATABASE_URL.

A shell that has read that file still has them at the next `filas up`. They mark the address as that of a stopped
embedded server, and not as one of the user's own.
"""


def with_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the user's variables, completed with the defaults of a local run. An empty variable counts as not set."""
    given = without_embedded_servers(environ)
    variables = LOCAL_DEFAULTS | {name: value for name, value in given.items() if value or name not in LOCAL_DEFAULTS}
    if not variables.get("PUBLIC_URL"):
        variables["PUBLIC_URL"] = public_url(variables)
    return variables


def without_embedded_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables without the addresses that an earlier local run exported for its embedded servers."""
    variables = dict(environ)
    redis, database_url = variables.pop(EMBEDDED_REDIS, ""), variables.pop(EMBEDDED_DATABASE_URL, "")
    if redis and redis == f"{variables.get('REDIS_HOST')}:{variables.get('REDIS_PORT')}":
        for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDISCLI_AUTH"):
            variables.pop(name, None)
    if database_url and database_url == variables.get("DATABASE_URL"):
        del variables["DATABASE_URL"]
    return variables


def uses_embedded_redis(environ: Mapping[str, str]) -> bool:
    """Whether the local run starts its own Redis: the environment names none."""
    return not any(environ.get(name) for name in ("REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"))


def uses_embedded_postgres(environ: Mapping[str, str]) -> bool:
    """Whether the local run starts its own Postgres: the environment names none."""
    return not environ.get("DATABASE_URL")


def check(environ: Mapping[str, str]) -> None:
    """Finds a wrong setting or a port in use before anything starts. Raises WrongSetting, which names the variable."""
    for process in process_settings.PROCESSES:
        try:
            settings_reader.load(process, environ)
        except SettingsError as error:
            raise WrongSetting(str(error)) from None
    seen: dict[str, str] = {}
    for name, (host_name, _) in PORTS.items():
        port = environ[name]
        if port == "0":
            raise WrongSetting(f"{name} is 0: choose a port, because the local run prints it")
        if other := seen.get(port):
            raise WrongSetting(f"{name} and {other} are both {port}: each process needs its own port")
        seen[port] = name
        _check_free(name, environ[host_name], int(port))


def _check_free(name: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the servers do: a port that only has closed connections (TIME_WAIT) counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"port in use: {host}:{port}; set {name} to a free port"
            else:
                message = f"{name}: cannot listen on {host}:{port}: {error.strerror}"
            raise WrongSetting(message) from None


def reachable(host: str) -> str:
    """Returns the address at which this machine reaches a listener on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host


def public_url(environ: Mapping[str, str]) -> str:
    """Returns the URL of the public listener."""
    return f"http://{reachable(environ['INGEST_HOST'])}:{environ['INGEST_PORT']}"


def admin_url(environ: Mapping[str, str], port_name: str = "INGEST_ADMIN_PORT") -> str:
    """Returns the URL of a private listener; by default the one with the API."""
    return f"http://{reachable(environ['ADMIN_HOST'])}:{environ[port_name]}"
