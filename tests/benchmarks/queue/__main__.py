"""The benchmark of the queue: this engine and its peers, one after the other, with one Redis on this machine.

    python -m tests.benchmarks.queue [--only NAME …] [--rounds N] [--base COMMIT]

Each subject processes a fixed number of jobs, so `--warm-up` and `--seconds` have no effect. SAQ and BullMQ are
installed into a temporary directory. A peer that cannot be installed is left out, and the result lists it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from filas_local.servers import RedisServer
from tests.benchmarks import node_packages
from tests.benchmarks.node_packages import Unavailable
from tests.benchmarks.queue.measure import TEXT, Figures
from tests.benchmarks.rounds import add_options, in_turn, recording
from tests.benchmarks.trees import REPOSITORY, Tree

PART = "queue"
HERE = Path(__file__).parent
OURS = "filas"
SAQ = "saq==0.26.*"
TIME_LIMIT_S = 300


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


def python_subject(module: str, *arguments: str) -> Callable[[RedisServer, Path, Tree], Figures]:
    """Returns the function that measures a module of this package."""

    def measure(server: RedisServer, scratch: Path, tree: Tree) -> Figures:
        command = [tree.interpreter, "-m", f"tests.benchmarks.queue.{module}", f"{server.url}/1", *arguments]
        return figures_of(run(command, REPOSITORY, str(scratch / "python")))

    return measure


def saq(server: RedisServer, scratch: Path, tree: Tree) -> Figures:
    """Measures SAQ. It is installed in a directory of its own, because it is not in the lock file."""
    target = scratch / "python"
    if not target.exists():
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), SAQ], scratch)
        # The one dependency of its scheduler that Filas does not have.
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target / "more"), "croniter"], scratch)
        for found in (target / "more").iterdir():
            if not (target / found.name).exists():
                shutil.move(found, target / found.name)
    return python_subject("saq_subject")(server, scratch, tree)


def bullmq(server: RedisServer, scratch: Path, _tree: Tree) -> Figures:
    """Measures BullMQ, which npm installs. Raises Unavailable without node and npm."""
    target = node_packages.installed(scratch)
    command = ["node", str(HERE / "bullmq.mjs"), server.host, str(server.port), "1", TEXT]
    return figures_of(run(command, target))


SUBJECTS: dict[str, tuple[Callable[[RedisServer, Path, Tree], Figures], bool]] = {
    OURS: (python_subject("ours"), True),
    "BullMQ": (bullmq, True),
    "SAQ": (saq, False),
    "arq tuned": (python_subject("stock_arq", "tuned"), False),
    "arq": (python_subject("stock_arq", "default"), False),
}
"""Each subject, and whether it is measured in every round. Slow subjects are measured once."""


def main() -> None:
    """Measures the subjects in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.queue", description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(SUBJECTS), choices=list(SUBJECTS))
    add_options(parser)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="filas-bench-") as directory,
        recording(PART, options) as (recorder, trees, length),
    ):
        scratch = Path(directory)
        recorder.result.form = "20,000 to 30,000 jobs for each figure"
        recorder.result.versions |= node_packages.versions()
        for number in range(length.rounds):
            for name in options.only:
                measure, every_round = SUBJECTS[name]
                for tree in in_turn(trees, number):
                    if (name != OURS and tree.is_base) or (number and not every_round):
                        continue
                    with RedisServer(scratch / f"redis-{len(list(scratch.iterdir()))}") as server:
                        try:
                            figures = measure(server, scratch, tree)
                        except Unavailable as error:
                            recorder.leave_out(name, str(error))
                            continue
                    recorder.add(tree, name, msgspec.structs.asdict(figures))


if __name__ == "__main__":
    main()
