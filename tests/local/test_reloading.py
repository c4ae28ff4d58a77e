"""Which services a changed file restarts."""

from pathlib import Path

from filas_local.reloading import package_directories, processes_of

DIRECTORIES = {"filas": Path("/code/filas"), "ingest": Path("/code/ingest"), "notifier": Path("/code/notifier")}


def test_a_services_code_restarts_its_processes() -> None:
    """Both processes of ingest run ingest's code."""
    assert processes_of([Path("/code/ingest/app.py")], DIRECTORIES) == ["ingest", "ingest-worker"]
    assert processes_of([Path("/code/notifier/app.py")], DIRECTORIES) == ["notifier"]


def test_shared_code_restarts_all() -> None:
    """Every process runs the shared package."""
    changed = [Path("/code/filas/queue/claim.lua"), Path("/code/notifier/app.py")]
    assert processes_of(changed, DIRECTORIES) == ["ingest", "ingest-worker", "flow-runner", "notifier"]


def test_every_package_has_its_directory() -> None:
    """The code that is watched is the code that runs."""
    directories = package_directories()
    assert set(directories) == {"filas", "ingest", "flow_runner", "notifier"}
    assert (directories["filas"] / "policies.py").exists()
