"""Which services a changed file restarts."""

import io
import threading
from pathlib import Path

from filas_local.reloading import package_directories, processes_of, restart_on_changes
from filas_local.terminal import Terminal
from tests.waiting import eventually

DIRECTORIES = {"filas": Path("/code/filas"), "ingest": Path("/code/ingest"), "notifier": Path("/code/notifier")}


def test_the_code_of_a_service_restarts_its_processes() -> None:
    """Both processes of ingest run ingest's code."""
    assert processes_of([Path("/code/ingest/app.py")], DIRECTORIES) == ["ingest", "ingest-admin", "ingest-worker"]
    assert processes_of([Path("/code/notifier/app.py")], DIRECTORIES) == ["notifier"]


def test_shared_code_restarts_all() -> None:
    """Every process runs the shared package."""
    changed = [Path("/code/filas/queue/claim.lua"), Path("/code/notifier/app.py")]
    assert processes_of(changed, DIRECTORIES) == ["ingest", "ingest-admin", "ingest-worker", "flow-runner", "notifier"]


def test_every_package_has_its_directory() -> None:
    """The watched directories are those of the imported packages."""
    directories = package_directories()
    assert set(directories) == {"filas", "ingest", "flow_runner", "notifier"}
    assert (directories["filas"] / "contract" / "policies.py").exists()


async def test_a_changed_file_restarts_while_the_run_goes_on(tmp_path: Path) -> None:
    """A saved file restarts its service within seconds, other files do not, and the end of the run ends the watch."""
    restarted: list[list[str]] = []

    class Recorder:
        def restart(self, names: list[str]) -> None:
            restarted.append(names)

    stop = threading.Event()
    terminal = Terminal(io.StringIO(), ["notifier"])
    thread = threading.Thread(target=restart_on_changes, args=({"notifier": tmp_path}, Recorder(), terminal, stop))
    thread.start()
    saves = iter(range(1000))

    def saved_and_seen() -> bool:
        # Saved repeatedly, because there is no signal for the start of the watch.
        (tmp_path / "notes.txt").write_text("not code")
        (tmp_path / "app.py").write_text(f"save = {next(saves)}")
        return bool(restarted)

    await eventually(saved_and_seen)
    stop.set()
    await eventually(lambda: not thread.is_alive())
    assert restarted[0] == ["notifier"]
