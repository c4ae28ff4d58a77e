"""The processes of Filas, as the local run starts them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceProcess:
    """One process. `arguments` follow `python -m`, `package` contains its code, `admin_port` names the variable of its
    private port. `niceness` gives it the share of the processor that docker-compose.yml gives it by the priority of its
    queue: 0 is a whole one, 3 a half, 6 a quarter."""

    name: str
    arguments: tuple[str, ...]
    package: str
    admin_port: str
    niceness: int = 0


PROCESSES = (
    ServiceProcess("ingest", ("ingest", "serve"), "ingest", "INGEST_SERVE_ADMIN_PORT"),
    ServiceProcess("ingest-admin", ("ingest", "admin"), "ingest", "INGEST_ADMIN_PORT", niceness=6),
    ServiceProcess("ingest-worker", ("ingest", "work"), "ingest", "INGEST_WORKER_ADMIN_PORT"),
    ServiceProcess("flow-runner", ("flow_runner",), "flow_runner", "FLOW_RUNNER_ADMIN_PORT", niceness=3),
    ServiceProcess("notifier", ("notifier",), "notifier", "NOTIFIER_ADMIN_PORT", niceness=6),
)
SHARED_PACKAGE = "filas"
