"""The stores of a run, on file systems of their own where that is possible."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.archived_postgres import ArchivedPostgres
from tests.chaos.redis_stores import RedisStore, single_redis, watched_redis
from tests.chaos.schedule import STORES
from tests.chaos.small_disk import SmallDisk, why_no_disk


@dataclass(slots=True)
class Stores:
    """Postgres and Redis. `disks` are by store. `impossible` has the kinds of faults that cannot be made, with the
    reason."""

    postgres: ArchivedPostgres
    redis: RedisStore
    disks: Mapping[str, SmallDisk]
    impossible: Mapping[str, str]


@contextmanager
def running_stores(logs: Path, *, sentinels: bool) -> Iterator[Stores]:
    """Starts the stores, with empty data. With `sentinels`, Redis has a replica that Sentinels promote."""
    impossible: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="filas-chaos-") as name, ExitStack() as stack:
        home = Path(name)
        directories = {store: home / store for store in STORES}
        disks: dict[str, SmallDisk] = {}
        if (reason := why_no_disk()) is None:
            disks = {store: stack.enter_context(SmallDisk(directory)) for store, directory in directories.items()}
        else:
            impossible["store-disk-full"] = reason
        if not sentinels:
            impossible["redis-failover"] = "this run has one Redis server (see --sentinels)"
        redis: RedisStore
        if sentinels:
            redis = stack.enter_context(watched_redis(directories["redis"]))
        else:
            redis = stack.enter_context(single_redis(directories["redis"], logs))
        postgres = ArchivedPostgres(directories["postgres"], home / "safe", log_path=logs / "postgres.log")
        yield Stores(stack.enter_context(postgres), redis, disks, impossible)
