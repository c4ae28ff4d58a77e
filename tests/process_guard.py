"""Decides which tests are quick: those that start no process. A test that starts one without the marker fails."""

import sys

import pytest

SERVER_FIXTURES = frozenset({"redis_server", "own_redis", "postgres_cluster"})
"""Each fixture that starts a server depends on one of these."""

MARKER = "starts_processes"
EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"})


class StartedProcess(RuntimeError):
    """A test has started a process. It needs the marker `starts_processes`."""


class _Guard:
    """Refuses to start a process while a quick test runs."""

    quick_test: str | None = None

    def __call__(self, event: str, _arguments: object) -> None:
        if event in EVENTS and self.quick_test is not None:
            raise StartedProcess(f"{self.quick_test} starts a process: mark it with pytest.mark.{MARKER}")


_guard = _Guard()
sys.addaudithook(_guard)


def starts_processes(item: pytest.Item) -> bool:
    """Whether a test uses a server or has the marker."""
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return item.get_closest_marker(MARKER) is not None or not SERVER_FIXTURES.isdisjoint(fixtures)


def watch(item: pytest.Item | None) -> None:
    """From now on this test runs; None: no test."""
    _guard.quick_test = item.nodeid if item is not None and not starts_processes(item) else None
