"""Runs commands in this process, against a running API, and records which routes they call.

It takes a fiftieth of the time of a process. `running.filas` runs a command as a user does.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from filas.cli import program
from filas.cli.api_client import Client
from ingest.api.routing.route_types import Route
from tests.ingest.api.serving import TOKEN, Api
from tests.shared.cli.running import Run


@dataclass(frozen=True)
class Called:
    """One request to the API: its method and the parts of its path."""

    method: str
    path: tuple[str, ...]

    def is_of(self, route: Route[Any, Any]) -> bool:
        """Whether the route answers this request, if no route before it does."""
        parts = route.path.strip("/").split("/")
        return (
            self.method == route.method
            and len(parts) == len(self.path)
            and all(part.startswith("{") or part == given for part, given in zip(parts, self.path, strict=True))
        )


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Called]]:
    """The requests of all commands while the block runs."""
    calls: list[Called] = []
    original = Client._call

    def call(self: Client, method: str, path: tuple[str, ...], query: Mapping[str, Any], body: Any = None) -> Any:
        calls.append(Called(method, tuple(path)))
        return original(self, method, path, query, body)

    with monkeypatch.context() as patched:
        patched.setattr(Client, "_call", call)
        yield calls


async def inside(api: Api, *arguments: str, given: Any = None, **environ: str) -> Run:
    """A command that asks this API; `given` is its input: a text, or a value as JSON."""
    text = given if isinstance(given, str) or given is None else json.dumps(given)
    environment = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN, "COLUMNS": "", "FILAS_API_KEY": ""} | environ
    done = await asyncio.to_thread(CliRunner(env=environment).invoke, program(), arguments, input=text)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Run(done.exit_code, done.stdout, done.stderr)
