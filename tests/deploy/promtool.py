"""Prometheus and promtool, where there are any: on PATH, or unpacked by `tests/deploy/install-prometheus`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNPACKED = ROOT / "build" / "prometheus" / "usr" / "bin"


def program(name: str) -> str | None:
    """Where `prometheus` or `promtool` is."""
    found = shutil.which(name)
    if found is None and (UNPACKED / name).exists():
        found = str(UNPACKED / name)
    return found


# With FILAS_TEST_MONITORING set, a machine without them is an error and no reason to skip.
needs_prometheus = pytest.mark.skipif(
    not os.environ.get("FILAS_TEST_MONITORING") and (program("prometheus") is None or program("promtool") is None),
    reason="needs prometheus and promtool: run `make test-monitoring`",
)


def promtool(*arguments: str) -> str:
    """Run promtool; returns what it prints, fails with all of it."""
    command = program("promtool")
    assert command is not None, "no promtool: tests/deploy/install-prometheus"
    done = subprocess.run([command, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
