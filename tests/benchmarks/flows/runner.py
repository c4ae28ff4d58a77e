"""The parts of the flow engine alone: one flow-runner whose executions are queued, and executions that wait a day.

python -m tests.benchmarks.flows.runner [--only one-runner waiting] [--executions N] [--waiting N] [--rounds N]
"""

import argparse
import asyncio

from filas.observability import logs
from tests.benchmarks.flows import end_to_end, one_runner, waiting
from tests.benchmarks.rounds import add_options, recording

PART = "flow-runner"


def main() -> None:
    """Runs each measurement on stores of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flows.runner", description=__doc__)
    parser.add_argument("--only", nargs="*", default=["one-runner", "waiting"])
    parser.add_argument("--executions", type=int, default=5000)
    parser.add_argument("--waiting", type=int, default=100_000)
    add_options(parser)
    options = parser.parse_args()
    logs.configure("warning", "console", "bench")
    with recording(PART, options) as (recorder, (tree, *_), length):
        recorder.result.form = f"{options.executions:,} executions; {options.waiting:,} that wait"
        for _ in range(length.rounds):
            if "one-runner" in options.only:
                with end_to_end.servers(tree) as (postgres, redis, _home):
                    figures = asyncio.run(one_runner.measure(postgres, redis, end_to_end.DATABASE, options.executions))
                recorder.add(tree, "one flow-runner", figures)
        if "waiting" in options.only:
            # Once: it takes minutes, and memory does not depend on the speed of the machine.
            with end_to_end.servers(tree) as (postgres, redis, _home):
                figures = asyncio.run(waiting.measure(postgres, redis, end_to_end.DATABASE, options.waiting))
            recorder.add(tree, "executions that wait", figures)


if __name__ == "__main__":
    main()
