"""Runs a schedule of faults and checks the promises.

    python -m tests.chaos [--seed N … [--overlap]] [--seconds S] [--rate R] [--sentinels] [--kinds KIND …]
        [--without N …] [--shorten]

Prints the seed, the schedule, the counts, and each breach. A breach can be repeated with its seed. Several seeds are
run one after the other; with `--overlap`, each begins about when the load of the one before has ended. `--without`
leaves faults out by their number; `--shorten` leaves out one fault after the other as long as a breach of the same
promise remains. The exit code is 1 if a promise was broken.
"""

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from tests.chaos.checker import Breach, breaches
from tests.chaos.evidence import Evidence
from tests.chaos.run import Run
from tests.chaos.schedule import KINDS, Fault, schedule

SET_UP_S = 25.0
"""How long the start of everything takes, about, and the work that is left when the load ends."""

SHOWN = 5
"""How many breaches of one promise are printed."""


def main() -> int:
    """Runs once, or as often as shortening takes. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", help="default: a random one, which is printed")
    parser.add_argument("--overlap", action="store_true", help="begin with a seed when the load of the last one ends")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=200.0, help="webhooks per second")
    parser.add_argument(
        "--sentinels",
        action=argparse.BooleanOptionalAction,
        help="whether Redis has a replica that Sentinels promote; default: with even seeds",
    )
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--without", type=int, nargs="*", default=[], help="numbers of faults to leave out")
    parser.add_argument("--shorten", action="store_true", help="find the faults that a breach needs")
    parser.add_argument("--logs", type=Path, default=Path("build/chaos"), help="the directory of the processes' output")
    options = parser.parse_args()
    if options.overlap and options.seed:
        return overlap(options)
    broken = False
    for seed in options.seed or [random.SystemRandom().randrange(1 << 31)]:
        found = run(seed, options, options.without)
        broken = broken or bool(found)
        if found and options.shorten:
            shorten(seed, options, {one.promise for one in found})
    return 1 if broken else 0


def overlap(options: argparse.Namespace) -> int:
    """Runs each seed in a process of its own, which begins about when the load of the one before has ended: a run then
    waits for a minute or more until alerts are over. Prints what each printed, one after the other."""
    arguments = [one for one in sys.argv[1:] if one != "--overlap"]
    first = arguments.index("--seed")
    rest = arguments[:first] + arguments[first + 1 + len(options.seed) :]
    outputs = [options.logs / f"seed-{seed}" for seed in options.seed]
    processes: list[subprocess.Popen[bytes]] = []
    for seed, directory in zip(options.seed, outputs, strict=True):
        if processes:
            time.sleep(options.seconds + SET_UP_S)
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.chaos", *rest, "--seed", str(seed), "--logs", str(directory)]
        with (directory / "output").open("wb") as output:
            processes.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
    codes = [process.wait() for process in processes]
    for directory in outputs:
        print((directory / "output").read_text(errors="replace"), flush=True)
    return max(codes)


def run(seed: int, options: argparse.Namespace, without: Sequence[int]) -> list[Breach]:
    """One run. Prints what happened; returns the breaches."""
    faults = planned(seed, options, without)
    left_out = f", without {' '.join(map(str, without))}" if without else ""
    print(
        f"seed {seed}, {options.seconds:g} s at {options.rate:g} webhooks/s, {len(faults)} faults{left_out}", flush=True
    )
    options.logs.mkdir(parents=True, exist_ok=True)
    sentinels = seed % 2 == 0 if options.sentinels is None else options.sentinels
    run = Run(seed, faults, seconds=options.seconds, rate=options.rate, logs=options.logs, sentinels=sentinels)
    evidence = uvloop.run(run.evidence())
    print_counts(evidence)
    found = breaches(evidence)
    if found:
        record = options.logs / f"evidence-{seed}.json"
        record.write_bytes(msgspec.json.encode(evidence))
        print(f"the evidence is in {record}")
    for promise, count in Counter(one.promise for one in found).items():
        print(f"BREACH: {promise.replace('_', ' ')}: {count}")
        for one in [each for each in found if each.promise == promise][:SHOWN]:
            print(f"  {one.account}")
    topology = "--sentinels" if sentinels else "--no-sentinels"
    repeat = f"repeat: python -m tests.chaos --seed {seed} --seconds {options.seconds:g} {topology}"
    print(repeat if found else "no breach")
    sys.stdout.flush()
    return found


def planned(seed: int, options: argparse.Namespace, without: Sequence[int]) -> list[Fault]:
    """The faults of a run."""
    return schedule(seed, options.seconds, kinds=options.kinds, without=without)


def shorten(seed: int, options: argparse.Namespace, promises: set[str]) -> None:
    """Leaves out each fault in turn. A fault without which no breach of `promises` remains is needed."""
    without = list(options.without)
    for fault in planned(seed, options, without):
        found = run(seed, options, [*without, fault.number])
        if promises & {one.promise for one in found}:
            without.append(fault.number)
    needed = planned(seed, options, without)
    print(f"needed: {'; '.join(map(str, needed)) or 'no fault'}\nrepeat with --without {' '.join(map(str, without))}")


def print_counts(evidence: Evidence) -> None:
    """Prints what was sent, accepted, run and received."""
    accepted = sum(one.event_id is not None for one in evidence.sent)
    refusals = Counter(answer for one in evidence.sent for _, answer in one.tries)
    statuses = Counter(f"{one.flow_id} {one.status}" for one in evidence.executions)
    repeated = len(evidence.messages) - len({one.key for one in evidence.messages})
    print(f"sent {len(evidence.sent)}, accepted {accepted}, refused tries {dict(refusals) or 0}")
    kinds = Counter(
        f"{one.kind} {'done' if one.answered_at else 'uncertain' if one.uncertain else 'refused'}"
        for one in evidence.actions
    )
    print(f"actions of operators {dict(sorted(kinds.items()))}")
    print(f"executions {dict(sorted(statuses.items()))}")
    observed = evidence.observed
    answers = Counter(one.cause or one.answer for one in observed.questions)
    fired = Counter(one.rule_id for one in observed.alerts.firings) if observed.alerts is not None else {}
    print(f"dashboards: {len(observed.readings)} readings, {len(observed.frames)} frames")
    print(f"alerts {dict(sorted(fired.items()))}; answers of filas why {dict(sorted(answers.items()))}")
    print(f"messages arrived {len(evidence.messages)}, of them repeated {repeated}; calls {len(evidence.calls)}")


if __name__ == "__main__":
    sys.exit(main())
