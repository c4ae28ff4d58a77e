"""The benchmark of the queue: this engine and its peers, one after the other, with one Redis on this machine.

    python -m tests.benchmarks.queue [--rounds N] [--output FILE] [--only NAME …]

Prints a table and writes it to FILE (Markdown), and the figures to a file beside it (JSON). SAQ and BullMQ are
installed into a temporary directory. A peer that cannot be installed is left out, and the table lists it.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from filas_local.servers import RedisServer, redis_binary
from tests.benchmarks.queue.measure import TEXT, Figures

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
OURS = "filas"
BULLMQ, SAQ = "bullmq@5", "saq==0.26.*"
TIME_LIMIT_S = 300

ROWS = [
    ("enqueue_single", "enqueue, 100 callers (jobs/s)", 0),
    ("enqueue_bulk", "enqueue, batched (jobs/s)", 0),
    ("process", "process, results off (jobs/s)", 0),
    ("process_results", "process, results kept (jobs/s)", 0),
    ("process_groups", "process, 1,000 groups (jobs/s)", 0),
    ("pickup_p50", "pick-up when idle, p50 (ms)", 2),
    ("pickup_p99", "pick-up when idle, p99 (ms)", 2),
    ("idle_cpu", "CPU when idle (% of a core)", 2),
    ("rss", "memory, resident (MiB)", 0),
    ("private", "memory, private (MiB)", 0),
]

GOALS = [
    ("process", "processing at least 2 times BullMQ", 2.0),
    ("process_results", "with results at least 2 times BullMQ", 2.0),
    ("enqueue_single", "enqueueing at least 1.25 times BullMQ", 1.25),
    ("enqueue_bulk", "enqueueing many at least 1.25 times BullMQ", 1.25),
]

LIMITS = [("pickup_p50", "pick-up p50 at most 2 ms", 2.0), ("idle_cpu", "idle CPU at most 1 %", 1.0)]


class Unavailable(Exception):
    """A peer cannot be measured on this machine."""


def run(command: Sequence[str], cwd: Path, path: str = "") -> str:
    """Returns the output of a command. Raises Unavailable if the command fails."""
    environ = dict(os.environ)
    environ["PYTHONPATH"] = os.pathsep.join(part for part in (str(REPOSITORY), path) if part)
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode != 0:
        raise Unavailable(" ".join((done.stderr or done.stdout).split())[-300:])
    return done.stdout


def figures_of(output: str) -> Figures:
    """Returns the figures in the last line of a subject's output."""
    return msgspec.json.decode(output.strip().splitlines()[-1], type=Figures)


def python_subject(module: str, *arguments: str) -> Callable[[RedisServer, Path], Figures]:
    """Returns the function that measures a module of this package."""

    def measure(server: RedisServer, scratch: Path) -> Figures:
        command = [sys.executable, "-m", f"tests.benchmarks.queue.{module}", f"{server.url}/1", *arguments]
        return figures_of(run(command, REPOSITORY, str(scratch / "python")))

    return measure


def saq(server: RedisServer, scratch: Path) -> Figures:
    """Measures SAQ. It is installed in a directory of its own, because it is not in the lock file."""
    target = scratch / "python"
    if not target.exists():
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), SAQ], scratch)
        # The one dependency of its scheduler that Filas does not have.
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target / "more"), "croniter"], scratch)
        for found in (target / "more").iterdir():
            if not (target / found.name).exists():
                shutil.move(found, target / found.name)
    return python_subject("saq_subject")(server, scratch)


def bullmq(server: RedisServer, scratch: Path) -> Figures:
    """Measures BullMQ, which npm installs. Raises Unavailable without node and npm."""
    target = scratch / "node"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    if not (target / "node_modules" / "bullmq").exists():
        target.mkdir(exist_ok=True)
        run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(target), BULLMQ], target)
    command = ["node", str(HERE / "bullmq.mjs"), server.host, str(server.port), "1", TEXT]
    return figures_of(run(command, target))


SUBJECTS: dict[str, tuple[Callable[[RedisServer, Path], Figures], bool]] = {
    OURS: (python_subject("ours"), True),
    "BullMQ": (bullmq, True),
    "SAQ": (saq, False),
    "arq tuned": (python_subject("stock_arq", "tuned"), False),
    "arq": (python_subject("stock_arq", "default"), False),
}
"""Each subject, and whether it is measured in every round. Slow subjects are measured once."""


def median(rounds: Sequence[Figures]) -> Figures:
    """Returns the median of each figure."""
    result = Figures()
    for name, _, _ in ROWS:
        values = [value for one in rounds if (value := getattr(one, name)) is not None]
        setattr(result, name, statistics.median(values) if values else None)
    return result


def machine() -> str:
    """Describes the machine on which the figures were measured."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    version = run([redis_binary(), "--version"], HERE).split(" v=")[-1].split()[0]
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, Redis {version} on the same machine"


def table(found: dict[str, Figures]) -> str:
    """Returns the figures as a table. Each peer's figure has the ratio of ours to it (above 1: ours is larger)."""
    names = list(found)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for field, title, digits in ROWS:
        cells = []
        own = getattr(found[OURS], field) if OURS in found else None
        for name in names:
            value = getattr(found[name], field)
            cell = "-" if value is None else f"{value:,.{digits}f}"
            if value and own and name != OURS:
                cell += f" (x{own / value:.2f})"
            cells.append(cell)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(found: dict[str, Figures]) -> list[str]:
    """Returns each goal, and whether this run met it."""
    ours, lines = found.get(OURS), []
    if ours is None:
        return []
    if "BullMQ" in found:
        for field, words, factor in GOALS:
            mine, theirs = getattr(ours, field), getattr(found["BullMQ"], field)
            if mine and theirs:
                lines.append(f"- {words}: {mine / theirs:.2f}, {'met' if mine / theirs >= factor else 'MISSED'}")
    for field, words, limit in LIMITS:
        value = getattr(ours, field)
        if value is not None:
            lines.append(f"- {words}: {value:.2f}, {'met' if value <= limit else 'MISSED'}")
    return lines


def measure_all(rounds: int, only: Sequence[str]) -> tuple[dict[str, Figures], list[str]]:
    """Returns the medians of each subject, and the subjects that are missing.

    Each round measures all subjects, so that a change of the machine's load affects all of them.
    """
    taken: dict[str, list[Figures]] = {}
    missing: list[str] = []
    with tempfile.TemporaryDirectory(prefix="filas-bench-") as directory:
        scratch = Path(directory)
        with RedisServer(scratch / "redis") as server:
            for number in range(rounds):
                for name, (subject, every_round) in SUBJECTS.items():
                    if (only and name not in only) or (number and not every_round) or name in missing:
                        continue
                    server.execute("FLUSHALL")
                    began = time.monotonic()
                    try:
                        taken.setdefault(name, []).append(subject(server, scratch))
                    except Unavailable as error:
                        missing.append(name)
                        taken.pop(name, None)
                        print(f"{name}: left out, {error}", flush=True)
                    else:
                        print(f"{name}: round {number + 1}, {time.monotonic() - began:.0f} s", flush=True)
    return {name: median(figures) for name, figures in taken.items()}, missing


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.queue", description="The queue and its peers")
    parser.add_argument("--rounds", type=int, default=3, help="how often the quick ones are measured (median)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "benchmarks" / "queue.md")
    parser.add_argument("--only", nargs="*", default=[], choices=list(SUBJECTS))
    options = parser.parse_args()
    found, missing = measure_all(options.rounds, options.only)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    parts = [f"Measured on {today}, {machine()}; one worker process each, jobs of about 500 bytes.", table(found)]
    parts += ["\n".join(goals(found))]
    if missing:
        parts.append(f"Left out: {', '.join(missing)}.")
    text = "\n\n".join(part for part in parts if part) + "\n"
    print(f"\n{text}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    options.output.with_suffix(".json").write_bytes(msgspec.json.encode(found))
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
