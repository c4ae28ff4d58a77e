"""The price of each guarantee, at the public listener and on the whole way.

    python -m tests.benchmarks.price [--only NAME …] [--rounds N] [--warm-up S] [--seconds S]

Nothing here is a setting of the product: the guarantees of the listener are switched off by `price.without`, and those
of the stores by settings of the stores.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filas.observability import logs
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows import end_to_end
from tests.benchmarks.flows.definitions import with_message
from tests.benchmarks.flows.end_to_end import DATABASE, Way
from tests.benchmarks.ingest.__main__ import Bodies, measure
from tests.benchmarks.ingest.subjects import Filas
from tests.benchmarks.price.without import METHODS
from tests.benchmarks.rounds import Length, add_options, recording
from tests.benchmarks.trees import Tree

PART = "price"
ALL = "all guarantees"
FLUSH, REDIS_LOG = "the flush of each commit", "the log of Redis"
STORES = (FLUSH, REDIS_LOG)

SENDERS = 200

Measured = tuple[dict[str, float | None], list[float]]
"""Figures, and rates in intervals of ten seconds."""


@contextmanager
def stores_without(tree: Tree, guarantee: str) -> Iterator[tuple[PostgresServer, RedisServer, Path]]:
    """New stores, if necessary without a guarantee."""
    with end_to_end.servers(tree) as (postgres, redis, home):
        if guarantee == FLUSH:
            postgres.execute("alter system set synchronous_commit = off", "select pg_reload_conf()")
        if guarantee == REDIS_LOG:
            redis.execute("CONFIG SET appendonly no")
        yield postgres, redis, home


def receiving(
    tree: Tree, guarantee: str, bodies: Bodies, length: Length
) -> tuple[dict[str, float | None], list[float]]:
    """The figures of the public listener without a guarantee."""
    launcher = ("tests.benchmarks.price.without", guarantee) if guarantee in METHODS else ()
    with stores_without(tree, guarantee) as (postgres, redis, home):
        filas = Filas(home, redis, postgres, database=DATABASE, launcher=launcher)
        with filas.serving(alone=True) as process:
            return asyncio.run(measure((postgres, redis, home), process, filas.url, bodies, length))


def whole_way(tree: Tree, guarantee: str, length: Length) -> Measured:
    """The figures of the whole way without a guarantee of the stores."""
    way = Way(with_message, "/messages", SENDERS, True)
    with stores_without(tree, guarantee) as (postgres, redis, home):
        outcome = asyncio.run(
            end_to_end.measure(
                tree, postgres, redis, home, way, warm_up_s=length.warm_up_s, seconds=length.seconds
            )
        )  # fmt: skip
    return outcome.figures, outcome.intervals


def named(where: str, guarantee: str) -> str:
    """The name of a subject."""
    return f"{where}, {guarantee if guarantee == ALL else f'without {guarantee}'}"


def main() -> None:
    """Measures with all guarantees and then without each one, in every round."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.price", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=["receiving", "whole-way"], default=["receiving", "whole-way"])
    add_options(parser)
    options = parser.parse_args()
    logs.configure("warning", "console", "bench")
    with (
        tempfile.TemporaryDirectory(prefix="filas-bench-") as directory,
        recording(PART, options) as (recorder, (tree, *_), length),
    ):
        bodies = Bodies(Path(directory), length)
        for _ in range(length.rounds):
            if "receiving" in options.only:
                for guarantee in (ALL, *METHODS, *STORES):
                    recorder.add(tree, named("receiving", guarantee), *receiving(tree, guarantee, bodies, length))
            if "whole-way" in options.only:
                for guarantee in (ALL, *STORES):
                    recorder.add(tree, named("whole way", guarantee), *whole_way(tree, guarantee, length))


if __name__ == "__main__":
    main()
