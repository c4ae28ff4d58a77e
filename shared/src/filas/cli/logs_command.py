"""`filas logs`: the log files of `make up`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from filas.cli.api_client import CommandFailed
from filas.cli.live_commands import repeat

TAIL_BYTES: Final = 256 * 1024
"""How much of the end of each file is read."""

FOLLOW_S: Final = 0.5
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")


@click.command()
@click.argument("processes", metavar="[PROCESS]...", nargs=-1)
@click.option("--lines", type=click.IntRange(1, 2000), default=50, show_default=True, help="How many of each process.")
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines until Ctrl-C.")
def logs(processes: tuple[str, ...], lines: int, follow: bool) -> None:
    """Show the log of `make up`, or of a PROCESS: the last lines, in the order of their times.

    The files are in FILAS_HOME/log (.filas/log). Other deployments keep the logs themselves: `docker compose logs`,
    `kubectl logs`.
    """
    files = _files(processes)
    found = [line for name, file in files.items() for line in _last_lines(name, file, lines)]
    for _, text in sorted(found, key=lambda line: line[0]):
        click.echo(text)
    if not follow:
        click.echo(f"The files: {', '.join(str(file) for file in files.values())}", err=True)
        return
    places = {name: file.stat().st_size for name, file in files.items()}

    def look() -> None:
        for name, file in files.items():
            for text in _new_lines(name, file, places):
                click.echo(text)

    repeat(look, FOLLOW_S)


def _files(processes: tuple[str, ...]) -> dict[str, Path]:
    """Returns the log file of each process. Raises CommandFailed, which states where to look."""
    directory = Path(os.environ.get("FILAS_HOME") or ".filas", "log")
    files = {file.name.removesuffix(".log"): file for file in sorted(directory.glob("*.log"))}
    if not files:
        raise CommandFailed(
            f"no logs in {directory}: `make up` writes them there, below FILAS_HOME. "
            "Elsewhere, try `docker compose logs` or `kubectl logs`."
        )
    unknown = [name for name in processes if name not in files]
    if unknown:
        raise CommandFailed(f"no log of {', '.join(unknown)} in {directory}; there are {', '.join(files)}")
    return {name: file for name, file in files.items() if not processes or name in processes}


def _last_lines(name: str, file: Path, count: int) -> Iterator[tuple[str, str]]:
    """Yields the last lines of a file, each with its time. A line without a time has that of the line before."""
    with file.open("rb") as opened:
        opened.seek(max(file.stat().st_size - TAIL_BYTES, 0))
        texts = opened.read().decode("utf-8", "replace").splitlines()[-count:]
    moment = ""
    for text in texts:
        found = _TIME.search(text)
        moment = found[0].replace("T", " ") if found else moment
        yield moment, f"{name}: {text}"


def _new_lines(name: str, file: Path, places: dict[str, int]) -> Iterator[str]:
    """Yields the whole lines after the place of the file, and moves it. A file that has become shorter is a new one."""
    if file.stat().st_size < places[name]:
        places[name] = 0
    with file.open("rb") as opened:
        opened.seek(places[name])
        text = opened.read(TAIL_BYTES)
    whole = text[: text.rfind(b"\n") + 1]
    places[name] += len(whole)
    for line in whole.decode("utf-8", "replace").splitlines():
        yield f"{name}: {line}"
