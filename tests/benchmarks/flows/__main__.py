"""The flow engine's benchmark: one flow-runner, the whole pipeline from HTTP, and executions that wait.

    python -m tests.benchmarks.flows [--only NAME …] [--executions N] [--waiting N] [--seconds S] [--senders N]

Postgres syncs its commits to disk, and Redis syncs its log every second, as with `filas up`.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filas.observability import logs
from filas.repository import migrate
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows import end_to_end, one_runner, waiting
from tests.benchmarks.flows.definitions import with_message, without_message

Measurement = Callable[[PostgresServer, RedisServer, Path], Coroutine[Any, Any, None]]
DATABASE = "bench"


@contextmanager
def _servers() -> Iterator[tuple[PostgresServer, RedisServer, Path]]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with PostgresServer(home / "postgres") as postgres, RedisServer(home / "redis") as redis:
            postgres.ensure_database(DATABASE)
            asyncio.run(migrate.migrate(postgres.dsn(DATABASE)))
            yield postgres, redis, home


def _measurements(options: argparse.Namespace) -> dict[str, tuple[str, Measurement]]:
    def whole(definition: Any, *, by_message: bool) -> Measurement:
        def measure(postgres: PostgresServer, redis: RedisServer, home: Path) -> Coroutine[Any, Any, None]:
            load = {"senders": options.senders, "seconds": options.seconds}
            return end_to_end.measure(postgres, redis, DATABASE, home, definition, by_message=by_message, **load)

        return measure

    return {
        "one-runner": (
            f"webhook → condition → set-variable → api → message: {options.executions:,} queued, one flow-runner",
            lambda postgres, redis, _: one_runner.measure(postgres, redis, DATABASE, options.executions),
        ),
        "with-message": (
            f"the same from HTTP, all services on the machine, {options.senders} senders for {options.seconds:.0f} s",
            whole(with_message, by_message=True),
        ),
        "without-message": (
            f"webhook → condition → api from HTTP, {options.senders} senders for {options.seconds:.0f} s",
            whole(without_message, by_message=False),
        ),
        "waiting": (
            f"{options.waiting:,} executions that wait a day",
            lambda postgres, redis, _: waiting.measure(postgres, redis, DATABASE, options.waiting),
        ),
    }


def main() -> None:
    """Runs each measurement on servers of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flows", description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--executions", type=int, default=5000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--senders", type=int, default=200)
    options = parser.parse_args()
    logs.configure("warning", "console", "bench")
    for name, (title, measure) in _measurements(options).items():
        if options.only and name not in options.only:
            continue
        print(f"\n| {title} | |\n|---|---|", flush=True)
        with _servers() as servers:
            asyncio.run(measure(*servers))


if __name__ == "__main__":
    main()
