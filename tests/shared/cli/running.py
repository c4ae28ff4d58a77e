"""Runs the command line as a user does: in a process of its own, with an environment of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENTRY = "from filas.cli import main; main()"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


async def filas(*arguments: str, environ: Mapping[str, str] | None = None, given: str = "") -> Run:
    """Run `filas ARGUMENTS` with nothing in the environment but PATH, HOME and `environ`; `given` is its input."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENTRY, *arguments,
        env={**kept, **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(given.encode()), TIMEOUT_S)
    return Run(process.returncode or 0, out.decode(), err.decode())
