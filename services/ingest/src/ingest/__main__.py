"""`python -m ingest serve`, `python -m ingest admin` and `python -m ingest work`."""

import asyncio
import importlib
import os
import sys

from filas.service.run_process import run_process
from filas.settings.process_settings import IngestAdminSettings, IngestServeSettings, IngestWorkSettings

USAGE = "usage: python -m ingest serve|admin|work\n"


# Each process imports only its own composition root, and with it only its own code.
async def _serve(settings: IngestServeSettings, stop: asyncio.Event) -> None:
    await importlib.import_module("ingest.app").serve(settings, stop, os.environ)


async def _admin(settings: IngestAdminSettings, stop: asyncio.Event) -> None:
    await importlib.import_module("ingest.admin_app").administer(settings, stop, os.environ)


async def _work(settings: IngestWorkSettings, stop: asyncio.Event) -> None:
    await importlib.import_module("ingest.worker_app").work(settings, stop, os.environ)


def main(arguments: list[str]) -> int:
    """Runs the named process. Returns its exit code, or 2 if `arguments` name none of the three."""
    match arguments:
        case ["serve"]:
            return run_process("ingest", IngestServeSettings, _serve, os.environ)
        case ["admin"]:
            return run_process("ingest-admin", IngestAdminSettings, _admin, os.environ)
        case ["work"]:
            return run_process("ingest-worker", IngestWorkSettings, _work, os.environ)
        case _:
            sys.stderr.write(USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
