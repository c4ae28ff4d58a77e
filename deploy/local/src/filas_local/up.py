"""`filas up`: everything that Filas needs, on this machine, in one terminal."""

import os
import signal
import sys
import threading
from pathlib import Path

import click

from filas_local.home import Home
from filas_local.launching import LocalRunError
from filas_local.local_run import LocalRun
from filas_local.processes import PROCESSES
from filas_local.terminal import Terminal


@click.command()
def up() -> None:
    """Run everything on this machine, in this terminal; Ctrl-C drains and stops it.

    Ports, token and servers come from the environment; what is not set, it makes by itself.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        home = Home(Path(os.environ.get("FILAS_HOME") or ".filas"))
        with home.locked():
            LocalRun(home, os.environ, Terminal(sys.stdout, [process.name for process in PROCESSES]), stop).run()
    except LocalRunError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
