"""What the stores did during a measurement, from their own counters: work that does not depend on the load of the
machine."""

import json
from collections import Counter
from dataclasses import dataclass

from filas_local.servers import PostgresServer, RedisServer

# The benchmark's own sessions are few, so that their statements and rows do not matter.
_DATABASE = """
select json_build_object(
    'transactions', (select xact_commit + xact_rollback from pg_stat_database where datname = current_database()),
    'blocks', (select blks_hit + blks_read from pg_stat_database where datname = current_database()),
    'WAL bytes', (select wal_bytes from pg_stat_wal),
    'WAL records', (select wal_records from pg_stat_wal),
    'full pages in WAL', (select wal_fpi from pg_stat_wal))"""

_TABLES = """
select coalesce(json_object_agg(relname, json_build_object(
    'inserted', n_tup_ins, 'updated', n_tup_upd, 'of them HOT', n_tup_hot_upd, 'deleted', n_tup_del)), '{}')
from pg_stat_user_tables"""

# Large enough that counters of one per thousand flows are seen.
DIGITS = 3


@dataclass(frozen=True, slots=True)
class StoreCounters:
    """The counters of both servers at one moment. `tables` has a Counter for each table with its rows inserted, updated
    (and of them HOT) and deleted; `redis` has the calls and the microseconds of each command."""

    postgres: "Counter[str]"
    tables: dict[str, "Counter[str]"]
    redis: "Counter[str]"

    def since(self, before: "StoreCounters") -> "StoreCounters":
        """The difference to an earlier moment."""
        none = Counter[str]()
        return StoreCounters(
            self.postgres - before.postgres,
            {name: counts - before.tables.get(name, none) for name, counts in self.tables.items()},
            self.redis - before.redis,
        )

    def rows(self, flows: int) -> list[str]:
        """The counters for each of `flows` flows, as rows of a Markdown table."""

        def shown(counts: "Counter[str]") -> str:
            found = (f"{name} {round(count / flows, DIGITS):g}" for name, count in counts.most_common())
            return ", ".join(one for one in found if not one.endswith(" 0"))

        lines = [f"| Postgres, each flow | {shown(self.postgres)} |"]
        lines += [f"| rows of {name}, each flow | {shown(counts)} |" for name, counts in sorted(self.tables.items())]
        lines.append(f"| Redis, calls of each flow | {shown(self.redis)} |")
        return [line for line in lines if not line.endswith("|  |")]


def read_counters(postgres: PostgresServer, redis: RedisServer, database: str) -> StoreCounters:
    """Reads the counters. Postgres adds those of a session at most a second after its last statement."""
    tables = json.loads(postgres.execute(_TABLES, database=database))
    calls = Counter[str]()
    for line in redis.execute("INFO commandstats").splitlines():
        if line.startswith("cmdstat_"):
            name, _, values = line.removeprefix("cmdstat_").partition(":")
            calls[name] = int(values.partition("calls=")[2].partition(",")[0])
    return StoreCounters(
        Counter(json.loads(postgres.execute(_DATABASE, database=database))),
        {name: Counter(counts) for name, counts in tables.items()},
        calls,
    )
