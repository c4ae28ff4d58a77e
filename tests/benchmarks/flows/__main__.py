"""The whole way from HTTP, with all services on this machine.

    python -m tests.benchmarks.flows [--only with-message without-message open-loop] [--senders N …] [--rounds N]
        [--warm-up S] [--seconds S] [--base COMMIT]

The other measurements of the flow engine are in `tests.benchmarks.flows.runner`.
"""

import argparse
import asyncio

from filas.observability import logs
from tests.benchmarks.flows import end_to_end, load
from tests.benchmarks.flows.definitions import with_message, without_message
from tests.benchmarks.flows.end_to_end import Way
from tests.benchmarks.rounds import add_options, in_turn, recording

PART = "whole-way"
OPEN_CONNECTIONS = 200
WORDS = {
    "with-message": "with a message",
    "without-message": "without a message",
    "open-loop": "with a message, senders that do not wait",
}


def ways(only: list[str], senders: list[int]) -> dict[str, Way]:
    """The measured ways by the name of their subject."""
    found: dict[str, Way] = {}
    for count in senders:
        if "with-message" in only:
            found[f"{WORDS['with-message']}, {count} senders"] = Way(with_message, "/messages", count, True)
        if "without-message" in only:
            found[f"{WORDS['without-message']}, {count} senders"] = Way(without_message, "/contacts", count, True)
    if "open-loop" in only:
        found[WORDS["open-loop"]] = Way(with_message, "/messages", OPEN_CONNECTIONS, False)
    return found


def main() -> None:
    """Runs each measurement on stores of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flows", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(WORDS), default=list(WORDS))
    parser.add_argument("--senders", type=int, nargs="*", default=[200, 32])
    parser.add_argument("--store-costs", action="store_true", help="prints what each flow costs Postgres and Redis")
    add_options(parser)
    options = parser.parse_args()
    logs.configure("warning", "console", "bench")
    with recording(PART, options) as (recorder, trees, length):
        for number in range(length.rounds):
            for subject, way in ways(options.only, options.senders).items():
                if not way.waiting and not load.can_send_without_waiting():
                    recorder.leave_out(subject, "wrk is not installed")
                    continue
                for tree in in_turn(trees, number):
                    with end_to_end.servers(tree) as (postgres, redis, home):
                        measuring = end_to_end.measure(
                            tree, postgres, redis, home, way, warm_up_s=length.warm_up_s, seconds=length.seconds
                        )
                        outcome = asyncio.run(measuring)
                    recorder.add(tree, subject, outcome.figures, outcome.intervals)
                    if options.store_costs:
                        print("\n".join(outcome.store_costs), flush=True)


if __name__ == "__main__":
    main()
