"""`python -m notifier`."""

import asyncio
import os
import sys

from filas.service.run_process import run_process
from filas.settings.process_settings import NotifierSettings
from notifier.app import serve


async def _serve(settings: NotifierSettings, stop: asyncio.Event) -> None:
    await serve(settings, stop, os.environ)


if __name__ == "__main__":
    sys.exit(run_process("notifier", NotifierSettings, _serve, os.environ))
