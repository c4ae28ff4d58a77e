"""Runs the fuzz targets one after the other: `python -m tests.fuzz [--seconds N] [--target NAME …] [--keep]`.

`--repeat FILE` runs one target once, without the fuzzer. `--keep` also adds the inputs that reached new code to the
kept corpora, which `make test` repeats.
"""

import argparse
import functools
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import reached_code
from tests.fuzz import target as targets

FOLDER = Path("build/fuzz")
MAX_RUNS = 20_000_000
MAX_MEMORY_MIB = 2048
MAX_INPUT_S = 60
"""The longest time of one input, which also ends a loop in C. `fuzzing.MAX_CPU_S` is the stricter bound."""

GRACE_S = 300
"""How much longer than asked a target may run: on a busy machine, the corpus takes a while to load."""

FOUND = "found-"
MAX_KEPT_BYTES = 8 * 1024
MAX_KEPT_FILE = 1024
"""The bounds of the found inputs that a target keeps, in bytes: together, and of one. Seeds that were written by hand
are not counted."""

_PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
_RUNS = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
_MEMORY = re.compile(r"^stat::peak_rss_mb:\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What one target did. `coverage` is libFuzzer's number of branches reached, `findings` the inputs that failed."""

    runs: int
    coverage: int
    memory_mib: int
    new_inputs: int
    findings: list[Path]
    failed: bool
    seconds: float


def main() -> int:
    """Returns 1 if a target has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long each target runs")
    parser.add_argument("--target", nargs="*", default=[], help="the targets (default: all)")
    parser.add_argument("--repeat", type=Path, help="an input; needs one --target")
    parser.add_argument("--keep", action="store_true", help="keep the inputs that reached new code")
    options = parser.parse_args()
    known = targets.names()
    chosen = options.target or known
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"unknown target {', '.join(unknown)}; known are {', '.join(known)}")
    if options.repeat is not None:
        if len(chosen) != 1:
            parser.error("--repeat needs one --target")
        targets.load(chosen[0]).fuzz(options.repeat.read_bytes())
        print("raises nothing")
        return 0
    print(f"{'target':18}{'seconds':>8}{'runs':>10}{'coverage':>10}{'MiB':>6}{'new':>6}  findings", flush=True)
    failures = 0
    for name in chosen:
        outcome = fuzz(name, options.seconds)
        failures += outcome.failed
        print(
            f"{name:18}{outcome.seconds:8.0f}{outcome.runs:10}{outcome.coverage:10}{outcome.memory_mib:6}"
            f"{outcome.new_inputs:6}  {_findings(name, outcome)}",
            flush=True,
        )
        if options.keep and not outcome.failed:
            print(f"{'':18}{keep(name)} inputs kept", flush=True)
    return 1 if failures else 0


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzzes a target in a process of its own. Its log, its findings and the corpus it grows are in `build/fuzz`."""
    folder = FOLDER / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    target = targets.load(name)
    (folder / "words.dict").write_bytes(_dictionary(target.words))
    before, started = set(folder.glob("finding-*")), time.monotonic()
    count = len(list(corpus.iterdir()))
    code = _run(
        name,
        [
            f"-max_total_time={seconds}",
            f"-runs={MAX_RUNS}",
            f"-rss_limit_mb={MAX_MEMORY_MIB}",
            f"-timeout={MAX_INPUT_S}",
            f"-max_len={target.max_bytes}",
            f"-dict={folder / 'words.dict'}",
            f"-artifact_prefix={folder / 'finding-'}",
            "-print_final_stats=1",
            str(corpus),
            str(targets.CORPORA / name),
        ],
        folder / "log",
        seconds + GRACE_S,
    )
    text = (folder / "log").read_text("utf-8", "replace")
    progress = _PROGRESS.findall(text)
    return Outcome(
        runs=int((_RUNS.findall(text) or [progress[-1][0] if progress else "0"])[-1]),
        coverage=int(progress[-1][1]) if progress else 0,
        memory_mib=int((_MEMORY.findall(text) or ["0"])[-1]),
        new_inputs=len(list(corpus.iterdir())) - count,
        findings=sorted(set(folder.glob("finding-*")) - before),
        failed=code != 0,
        seconds=time.monotonic() - started,
    )


def keep(name: str) -> int:
    """Adds the smallest inputs that reach code which the kept corpus does not reach. Returns how many."""
    target, kept = targets.load(name), targets.CORPORA / name
    left = MAX_KEPT_BYTES - sum(path.stat().st_size for path in kept.glob(f"{FOUND}*"))
    reached: set[reached_code.Step] = set()
    for path in target.kept:
        reached |= reached_code.steps(functools.partial(target.fuzz, path.read_bytes()))
    added = 0
    for path in sorted((FOLDER / name / "corpus").iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        if len(data) > min(left, MAX_KEPT_FILE):
            break
        new = reached_code.steps(functools.partial(target.fuzz, data)) - reached
        if new:
            (kept / f"{FOUND}{hashlib.sha256(data).hexdigest()[:10]}").write_bytes(data)
            reached |= new
            left -= len(data)
            added += 1
    return added


def _run(name: str, options: list[str], log: Path, timeout_s: int) -> int:
    command = [sys.executable, "-m", "tests.fuzz.fuzzing", name, *options]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    with log.open("wb") as output:
        try:
            return subprocess.run(
                command, stdout=output, stderr=output, timeout=timeout_s, env=environment, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            output.write(f"\ndid not end within {timeout_s} s\n".encode())
            return 1


def _dictionary(words: Sequence[str]) -> bytes:
    """The words in libFuzzer's format."""
    return b"".join(b'"%b"\n' % _escaped(word.encode()) for word in words if word)


def _escaped(word: bytes) -> bytes:
    return b"".join(b"%c" % one if 32 <= one < 127 and one not in b'"\\' else b"\\x%02x" % one for one in word)


def _findings(name: str, outcome: Outcome) -> str:
    if not outcome.failed:
        return "none"
    if not outcome.findings:
        return f"the process failed: see {FOLDER / name / 'log'}"
    return "; ".join(f"python -m tests.fuzz --target {name} --repeat {path}" for path in outcome.findings)


if __name__ == "__main__":
    sys.exit(main())
