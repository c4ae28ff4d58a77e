"""The environment of the processes in a local run: the user's own variables, and what they leave open."""

import errno
import socket
from collections.abc import Mapping

from filas.errors import SettingsError
from filas.settings import process_settings
from filas_local.launching import WrongSetting

PORTS = {
    "INGEST_PORT": ("INGEST_HOST", 8080),
    "INGEST_ADMIN_PORT": ("ADMIN_HOST", 8081),
    "FLOW_RUNNER_ADMIN_PORT": ("ADMIN_HOST", 8082),
    "NOTIFIER_ADMIN_PORT": ("ADMIN_HOST", 8083),
    "INGEST_WORKER_ADMIN_PORT": ("ADMIN_HOST", 8084),
}
"""Each port's variable, with the variable of its address and its default."""

LOCAL_DEFAULTS = {
    "INGEST_HOST": "127.0.0.1",
    "ADMIN_HOST": "127.0.0.1",
    "LOG_FORMAT": "console",
    # A flow on a developer's machine calls services on that machine; the demo calls Filas itself.
    "OUTBOUND_ALLOW": "127.0.0.0/8",
    "PYTHONUNBUFFERED": "1",
    **{name: str(default) for name, (_, default) in PORTS.items()},
}


def with_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's variables over the defaults of a local run. An empty variable counts as not set."""
    return LOCAL_DEFAULTS | {name: value for name, value in environ.items() if value or name not in LOCAL_DEFAULTS}


def uses_own_redis(environ: Mapping[str, str]) -> bool:
    """Whether the embedded Redis is wanted: the user names none."""
    return not any(environ.get(name) for name in ("REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"))


def uses_own_postgres(environ: Mapping[str, str]) -> bool:
    """Whether the embedded Postgres is wanted: the user names none."""
    return not environ.get("DATABASE_URL")


def check(environ: Mapping[str, str]) -> None:
    """Find a wrong setting or a taken port before anything starts. Raises WrongSetting naming the variable."""
    for process in process_settings.PROCESSES:
        try:
            process_settings.load(process, environ)
        except SettingsError as error:
            raise WrongSetting(str(error)) from None
    seen: dict[str, str] = {}
    for name, (host_name, _) in PORTS.items():
        port = environ[name]
        if port == "0":
            raise WrongSetting(f"{name} is 0: the local run needs a port that it can print")
        if other := seen.get(port):
            raise WrongSetting(f"{name} is {port}, and so is {other}: give each process a port of its own")
        seen[port] = name
        _check_free(name, environ[host_name], int(port))


def _check_free(name: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the servers do: a port of which only old connections are left counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"a port is taken: {host}:{port}; set {name} to a free one"
            else:
                message = f"{name}: can't listen on {host}:{port}: {error.strerror}"
            raise WrongSetting(message) from None


def reachable(host: str) -> str:
    """The address under which one reaches from this machine what listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host


def public_url(environ: Mapping[str, str]) -> str:
    """Where webhooks are posted."""
    return f"http://{reachable(environ['INGEST_HOST'])}:{environ['INGEST_PORT']}"


def admin_url(environ: Mapping[str, str], port_name: str = "INGEST_ADMIN_PORT") -> str:
    """A private listener; by default the one with the API."""
    return f"http://{reachable(environ['ADMIN_HOST'])}:{environ[port_name]}"
