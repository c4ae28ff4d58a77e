"""The answers of the public listener at a fixed rate, while its workers are stopped, idle and busy.

    python -m tests.benchmarks.ingest.answers [--rate N] [--rounds N] [--warm-up S] [--seconds S] [--base COMMIT]

A latency is counted from the moment at which a request was due.
"""

import argparse
import asyncio
import time
from contextlib import nullcontext
from typing import Literal

from tests.benchmarks.flows.end_to_end import DATABASE, servers
from tests.benchmarks.ingest.load import Load, as_fast_as_answered, at_a_rate, write_bodies
from tests.benchmarks.ingest.subjects import Filas
from tests.benchmarks.rounds import Length, add_options, in_turn, recording
from tests.benchmarks.trees import Tree

PART = "answers"
RATE = 500
BACKLOG_A_SECOND = 800
"""How many queued jobs are prepared for each second of load with busy workers, so that they stay busy."""

Workers = Literal["stopped", "idle", "busy"]
WORKERS: tuple[Workers, ...] = ("stopped", "idle", "busy")


def measure(tree: Tree, workers: Workers, length: Length, rate: int) -> dict[str, float | None]:
    """Measures one state of the workers on new stores."""
    seconds = round(length.warm_up_s + length.seconds)
    with servers(tree) as (postgres, redis, home):
        filas = Filas(home, redis, postgres, database=DATABASE, interpreter=tree.interpreter)
        bodies = home / "bodies.tsv"

        def post(during_s: float) -> Load:
            write_bodies(bodies, f"r{time.time_ns()}.", round(rate * during_s))
            return asyncio.run(at_a_rate(filas.url, bodies, rate, round(during_s)))

        with filas.serving():
            while workers == "busy" and filas.unfinished_jobs() < BACKLOG_A_SECOND * seconds:
                write_bodies(bodies, f"b{time.time_ns()}.", 30_000)
                as_fast_as_answered(filas.url, bodies, 3)
            with nullcontext() if workers == "stopped" else filas.working():
                if length.warm_up_s:
                    post(length.warm_up_s)
                load = post(length.seconds)
                left = filas.unfinished_jobs()
    return {
        "p50": load.p50,
        "p99": load.p99,
        "rate": load.rate,
        "failures": float(load.failed),
        "jobs left": float(left),
    }


def main() -> None:
    """Measures the states in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingest.answers", description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE)
    add_options(parser)
    options = parser.parse_args()
    with recording(PART, options) as (recorder, trees, length):
        for number in range(length.rounds):
            for workers in WORKERS:
                for tree in in_turn(trees, number):
                    recorder.add(tree, f"workers {workers}", measure(tree, workers, length, options.rate))


if __name__ == "__main__":
    main()
