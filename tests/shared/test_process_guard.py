"""A test without the marker `starts_processes` cannot start a process. These tests are such tests."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.process_guard import StartedProcess

STARTS: dict[str, Callable[[], object]] = {
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "os.system": lambda: os.system("true"),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_a_quick_test_cannot_start_a_process(start: Callable[[], object]) -> None:
    """The error names the test and the marker that it needs."""
    with pytest.raises(StartedProcess, match=r"test_process_guard.*starts_processes"):
        start()


@pytest.mark.starts_processes
def test_a_test_with_the_marker_starts_processes() -> None:
    """The guard allows the process."""
    subprocess.run(["true"], check=True)
