"""The parts of the benchmarks: each is a module with results of its own, and runs in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence

from tests.benchmarks.trees import REPOSITORY

PARTS = {
    "whole-way": "tests.benchmarks.flows",
    "receiving": "tests.benchmarks.ingest",
    "answers": "tests.benchmarks.ingest.answers",
    "queue": "tests.benchmarks.queue",
    "flow-runner": "tests.benchmarks.flows.runner",
    "notifier": "tests.benchmarks.notifier",
    "price": "tests.benchmarks.price",
}
"""The module of each part. All of them have the options of `tests.benchmarks.rounds`."""

COMPARED = ("whole-way", "receiving", "answers", "queue")
"""The parts that can measure another commit. The others call the code of this checkout."""


def run(part: str, *arguments: str) -> bool:
    """Runs a part, which prints its progress. Returns whether it succeeded."""
    print(f"== {part}", flush=True)
    # In a process of its own, so that the heap of the previous part does not affect it.
    done = subprocess.run([sys.executable, "-m", PARTS[part], *arguments], cwd=REPOSITORY, check=False)
    return done.returncode == 0


def run_all(parts: Sequence[str], *arguments: str) -> list[str]:
    """Runs parts one after the other. Returns those that failed."""
    return [part for part in parts if not run(part, *arguments)]
