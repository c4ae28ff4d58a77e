"""`RELOAD=1`: restarts a service when its code changes."""

import importlib.util
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from watchfiles import PythonFilter, watch

from filas_local.launching import LocalRunError
from filas_local.processes import PROCESSES, SHARED_PACKAGE
from filas_local.terminal import Terminal


def package_directories() -> dict[str, Path]:
    """Returns the source directory of each service package and of the shared package."""
    directories = {}
    for package in [SHARED_PACKAGE, *(process.package for process in PROCESSES)]:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            directories[package] = Path(spec.origin).parent
    return directories


def processes_of(changed: Iterable[Path], directories: dict[str, Path]) -> list[str]:
    """Returns the names of the processes that run the changed files. A file outside the services is shared by all."""
    names: set[str] = set()
    for path in changed:
        owner = next((package for package, root in directories.items() if path.is_relative_to(root)), SHARED_PACKAGE)
        names.update(process.name for process in PROCESSES if owner in (SHARED_PACKAGE, process.package))
    return [process.name for process in PROCESSES if process.name in names]


class Restarts(Protocol):
    """Restarts processes by name: the supervisor."""

    def restart(self, names: list[str]) -> None: ...


def restart_on_changes(
    directories: dict[str, Path], supervisor: Restarts, terminal: Terminal, stop: threading.Event
) -> None:
    """Watches the packages' directories until `stop`. Runs in its own thread."""
    only_code = PythonFilter(extra_extensions=(".lua", ".sql"))
    for changes in watch(*directories.values(), watch_filter=only_code, stop_event=stop, raise_interrupt=False):
        names = processes_of((Path(path) for _, path in changes), directories)
        terminal.notice(f"code changed: restarting {', '.join(names)}")
        try:
            supervisor.restart(names)
        except LocalRunError as error:
            terminal.notice(str(error))
