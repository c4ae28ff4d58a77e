"""The five processes of Filas: how each is started and configured. Names are those of compose and Kubernetes."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from filas.settings import process_settings


class Process(NamedTuple):
    """`python -m ARGUMENTS`. `composition_root`: the module that it imports when it starts. `private_port`: the
    variable with the port of its private listener. `prepared`: what a process keeps in memory from its start, which
    tests that start many prepare once."""

    settings: type[process_settings.ProcessSettings]
    arguments: tuple[str, ...]
    composition_root: str
    private_port: str
    prepared: Callable[[], None] = lambda: None


def compile_templates() -> None:
    """Compiles the templates of the dashboard. The other processes do not import it."""
    importlib.import_module("ingest.dashboard.application").compile_templates()


PROCESSES = {
    "ingest": Process(
        process_settings.IngestServeSettings, ("ingest", "serve"), "ingest.app", "INGEST_SERVE_ADMIN_PORT"
    ),
    "ingest-admin": Process(
        process_settings.IngestAdminSettings,
        ("ingest", "admin"),
        "ingest.admin_app",
        "INGEST_ADMIN_PORT",
        compile_templates,
    ),
    "ingest-worker": Process(
        process_settings.IngestWorkSettings, ("ingest", "work"), "ingest.worker_app", "INGEST_WORKER_ADMIN_PORT"
    ),
    "flow-runner": Process(
        process_settings.FlowRunnerSettings, ("flow_runner",), "flow_runner.app", "FLOW_RUNNER_ADMIN_PORT"
    ),
    "notifier": Process(process_settings.NotifierSettings, ("notifier",), "notifier.app", "NOTIFIER_ADMIN_PORT"),
}
WORKERS = ("ingest-worker", "flow-runner", "notifier")
