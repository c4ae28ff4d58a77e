"""The measured checkouts: this one, and another commit's with a virtual environment of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_MIGRATE = "import asyncio, sys; from filas.repository import migrate; asyncio.run(migrate.migrate(sys.argv[1]))"


class CheckoutFailed(Exception):
    """Another commit cannot be checked out or installed on this machine."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout. `commit` is its short name, with `+` after it if files were changed. `is_base`: it is what
    the other one is compared with."""

    commit: str
    directory: Path
    is_base: bool = False

    @property
    def interpreter(self) -> str:
        """The Python that runs its code."""
        # Not resolved: an interpreter finds its packages by the path of the link in `.venv`.
        return sys.executable if self.directory == REPOSITORY else str(self.directory / ".venv" / "bin" / "python")

    def migrate(self, dsn: str) -> None:
        """Creates the tables as this checkout needs them."""
        subprocess.run([self.interpreter, "-c", _MIGRATE, dsn], check=True, cwd=REPOSITORY)


def this_tree() -> Tree:
    """The checkout of which this file is a part."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "shared", "services")
    return Tree(f"{_git('rev-parse', '--short=8', 'HEAD')}{'+' if changed else ''}", REPOSITORY)


@contextmanager
def checkout(base: str) -> Iterator[Tree]:
    """The checkout of another commit. `base` names the commit, or a directory that has it and its `.venv` already.

    A commit is checked out into a temporary directory and installed there, which takes a minute or two.
    """
    directory = Path(base).absolute()
    if (directory / ".venv").is_dir():
        yield Tree(_git("rev-parse", "--short=8", "HEAD", directory=directory), directory, is_base=True)
        return
    commit = _git("rev-parse", "--verify", f"{base}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="filas-bench-base-") as temporary:
        directory = Path(temporary) / commit[:8]
        _git("worktree", "add", "--detach", str(directory), commit)
        try:
            print(f"installing {commit[:8]} in {directory}", flush=True)
            install(directory)
            yield Tree(commit[:8], directory, is_base=True)
        finally:
            _git("worktree", "remove", "--force", str(directory))


def install(directory: Path) -> None:
    """Makes the virtual environment that runs everything. Raises CheckoutFailed."""
    done = subprocess.run(
        ["make", ".venv/.ready-local"], cwd=directory, env=_without_make(os.environ), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise CheckoutFailed(f"the installation failed: {' '.join(done.stderr.split())[-500:]}")


def _without_make(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that a calling `make` gives its children."""
    return {name: value for name, value in environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def _git(*arguments: str, directory: Path = REPOSITORY) -> str:
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CheckoutFailed(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
