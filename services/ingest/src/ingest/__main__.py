"""`python -m ingest serve` and `python -m ingest work`."""

import asyncio
import importlib
import os
import sys

from filas.service.run_process import run_process
from filas.settings.process_settings import IngestServeSettings, IngestWorkSettings

USAGE = "usage: python -m ingest serve|work\n"


async def _serve(settings: IngestServeSettings, stop: asyncio.Event) -> None:
    # Each process imports its own part alone.
    await importlib.import_module("ingest.app").serve(settings, stop, os.environ)


async def _work(settings: IngestWorkSettings, stop: asyncio.Event) -> None:
    await importlib.import_module("ingest.worker_app").work(settings, stop, os.environ)


def main(arguments: list[str]) -> int:
    """Run the named process; gives its exit code, 2 for anything that is neither."""
    match arguments:
        case ["serve"]:
            return run_process("ingest", IngestServeSettings, _serve, os.environ)
        case ["work"]:
            return run_process("ingest-worker", IngestWorkSettings, _work, os.environ)
        case _:
            sys.stderr.write(USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
