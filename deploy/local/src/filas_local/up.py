"""`filas up`: everything that Filas needs, on this machine, in one terminal."""

import os
import signal
import sys
from pathlib import Path

import click

from filas_local.home import Home
from filas_local.launching import LocalRunError
from filas_local.local_run import LocalRun, StopRequest
from filas_local.processes import PROCESSES
from filas_local.terminal import Terminal

EXIT_STOPPED_AT_ONCE = 128 + signal.SIGINT


@click.command()
def up() -> None:
    """Run everything on this machine, in this terminal.

    Ctrl-C stops it after the work under way; a second Ctrl-C stops it at once. Ports, token and servers come from the
    environment. What is not set gets a default.
    """
    stop = StopRequest()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.request())
    try:
        home = Home(Path(os.environ.get("FILAS_HOME") or ".filas"))
        with home.locked():
            LocalRun(home, os.environ, Terminal(sys.stdout, [process.name for process in PROCESSES]), stop).run()
    except LocalRunError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    if stop.at_once.is_set():
        sys.exit(EXIT_STOPPED_AT_ONCE)
