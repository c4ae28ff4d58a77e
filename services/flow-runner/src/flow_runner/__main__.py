"""`python -m flow_runner`."""

import asyncio
import os
import sys

from filas.service.run_process import run_process
from filas.settings.process_settings import FlowRunnerSettings
from flow_runner.app import serve


async def _serve(settings: FlowRunnerSettings, stop: asyncio.Event) -> None:
    await serve(settings, stop, os.environ)


if __name__ == "__main__":
    sys.exit(run_process("flow-runner", FlowRunnerSettings, _serve, os.environ))
