"""`make soak`: runs everything at a steady load, records what may grow, and judges it.

    python -m tests.soak [--minutes M] [--rate R] [--retention M] [--results FILE]
    python -m tests.soak --judge [--results FILE]

The results are written each minute. The exit code is 1 if a series grows more than retention explains, or if a check
does not hold. `--judge` only judges results that exist. `python -m tests.soak.page` writes docs/operations/soak.md.
"""

import argparse
import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from tests.benchmarks.report.machine import this_machine, versions
from tests.benchmarks.trees import REPOSITORY, this_tree
from tests.process_table import PROCESSES, WORKERS
from tests.soak.judgement import breaches, first_minute, judged
from tests.soak.results import Results, load, save
from tests.soak.run import Run

RESULTS: Final = REPOSITORY / "build" / "soak" / "results.json"
LOGS: Final = REPOSITORY / "build" / "soak"
LEAST_RETENTION: Final = 5.0
LIFE_CYCLES: Final = 6


def main() -> int:
    """Runs, or only judges. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=30.0, help="webhooks per second")
    parser.add_argument("--retention", type=float, help="minutes, 5 at least; default: a sixth of the run, at most 20")
    parser.add_argument("--context", default="", help="a sentence for the page: what else runs on the machine")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--logs", type=Path, default=LOGS, help="the directory of the processes' output")
    parser.add_argument("--judge", action="store_true", help="judge the results that exist")
    options = parser.parse_args()
    if options.judge:
        return report(load(options.results))
    results = Results(
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=this_tree().commit,
        machine=this_machine(),
        versions=versions(),
        rate=options.rate,
        context=options.context,
        retention_minutes=max(LEAST_RETENTION, options.retention or min(20.0, options.minutes / LIFE_CYCLES)),
    )
    options.logs.mkdir(parents=True, exist_ok=True)
    for name in (*PROCESSES, *(f"{worker}-2" for worker in WORKERS)):
        (options.logs / f"{name}.log").unlink(missing_ok=True)
    length = f"{options.minutes:g} minutes at {options.rate:g} webhooks/s"
    print(f"{length}, retention {results.retention_minutes:g} minutes", flush=True)
    try:
        uvloop.run(Run(results, minutes=options.minutes, logs=options.logs, path=options.results).run())
    except (asyncio.CancelledError, KeyboardInterrupt):
        print(f"stopped after {results.minutes} minutes")
    results.totals |= {f"log: {words}": count for words, count in log_events(options.logs).items()}
    save(results, options.results)
    return report(results)


def report(results: Results) -> int:
    """Prints what was judged and what does not hold. Returns the exit code."""
    found = breaches(results)
    series = len(judged(results))
    period = f"from minute {first_minute(results)} to {results.minutes}"
    print(f"{series} series judged {period}" if series else f"too short to judge any series ({period})")
    print(f"checks held: {sum(one.held for one in results.checks.values())}")
    for name, count in results.totals.items():
        print(f"{name}: {count:g}")
    for note in results.notes:
        print(f"note: {note}")
    for one in found:
        print(f"BREACH: {one}")
    print("no breach" if not found else f"{len(found)} breaches")
    return 1 if found else 0


def log_events(logs: Path) -> Counter[str]:
    """How often each event of at least the level `warning` was logged, by process and event."""
    found = Counter[str]()
    for path in sorted(logs.glob("*.log")):
        for text in path.read_text(errors="replace").splitlines():
            try:
                entry = msgspec.json.decode(text)
                found[f"{path.stem} {entry['level']} {entry['event']}"] += 1
            except (msgspec.DecodeError, KeyError, TypeError):
                found[f"{path.stem} other output"] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
