"""What is recorded each minute: resources of processes, and the contents of both stores."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.measurements import cpu_of_tree, usage_of

Values = dict[str, float]
"""Values by the names of their series: `GROUP/NAME`."""

MIB: Final = 2**20

TABLES: Final = """
select c.relname as name, pg_table_size(c.oid)::float8 as bytes, pg_relation_size(c.oid)::float8 as main,
    s.n_live_tup::float8 as live, s.n_dead_tup::float8 as dead, w.width::float8 as width
from pg_class c
join pg_stat_user_tables s on s.relid = c.oid
left join (
    select tablename, 28 + sum(avg_width * (1 - null_frac)) as width from pg_stats where schemaname = 'public'
    group by tablename
) w on w.tablename = c.relname
where s.schemaname = 'public' and c.relkind = 'r'"""

INDEXES: Final = """
select relname as table_name, indexrelname as name, pg_relation_size(indexrelid)::float8 as bytes
from pg_stat_user_indexes where schemaname = 'public'"""

SESSIONS: Final = """
select split_part(application_name, ' ', 1) as name, count(*)::float8 as count from pg_stat_activity
where application_name like 'filas-%' group by 1"""

UNFINISHED: Final = """
select (select count(*) from events where status not in ('processed', 'ignored', 'failed'))::float8 as events,
    (select count(*) from executions where ended_at is null)::float8 as executions,
    (select count(*) from notifications where ended_at is null)::float8 as notifications"""

LATENCY: Final = """
select percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from x.ended_at - e.received_at) * 1000)
    as ms
from executions x join events e on e.id = x.event_id
where x.flow_id = $1 and x.ended_at >= clock_timestamp() - interval '1 minute'"""


def of_process(pid: int) -> Values:
    """`private`, `rss` and `anonymous` memory (MiB), open `files` and `threads` of a process. Linux only.

    `anonymous` is its part of the memory without files and shared memory."""
    sizes = {
        name: int(value.split()[0]) / 1024
        for name, _, value in (
            line.partition(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
    }
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    return {
        "private": sizes["Private_Clean"] + sizes["Private_Dirty"],
        "rss": sizes["Rss"],
        "anonymous": sizes.get("Pss_Anon", sizes["Anonymous"]),
        "files": float(len(os.listdir(f"/proc/{pid}/fd"))),
        "threads": float(threads),
    }


def descendants(pid: int) -> list[int]:
    """The process and all processes that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # the process has just ended
                continue
    found = [pid]
    for one in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == one]
    return found


def processes(pids: Mapping[str, int], redis: int, postgres: int) -> Values:
    """The series of each process. Those of Postgres are sums over the server and its sessions."""
    values = Values()
    for name, pid in {**pids, "redis": redis}.items():
        one = of_process(pid)
        values[f"memory/{name}"] = one["private"]
        values[f"rss/{name}"] = one["rss"]
        values[f"files/{name}"] = one["files"]
        values[f"threads/{name}"] = one["threads"]
    server: list[Values] = []
    for pid in descendants(postgres):
        try:
            server.append(of_process(pid))
        except (OSError, KeyError, StopIteration):  # a session that has just ended
            continue
    values["memory/postgres"] = sum(one["anonymous"] for one in server)
    values["files/postgres"] = sum(one["files"] for one in server)
    values["threads/postgres"] = sum(one["threads"] for one in server)
    return values


def of_redis(server: RedisServer) -> Values:
    """The memory and the log of Redis (MiB), its keys and its clients."""
    info = dict(line.split(":", 1) for line in server.execute("INFO").splitlines() if ":" in line)
    keys = [line for line in server.execute("DBSIZE").splitlines() if line.startswith(":")]
    return {
        "redis/memory": float(info["used_memory"]) / MIB,
        "redis/log": float(info.get("aof_current_size", 0)) / MIB,
        "redis/keys": float(keys[-1][1:]),
        "redis/clients": float(info["connected_clients"]),
    }


async def of_postgres(pool: "asyncpg.Pool[asyncpg.Record]", flow: str) -> Values:
    """Sizes (MiB), live and dead rows, and the free share of each table; unfinished rows; the times of `flow` from the
    receipt of its event to its end (ms) in the last minute. The free share (0 to 1) is an estimate: what the live rows
    with their mean width do not need of the table's main file."""
    values = Values()
    for row in await pool.fetch(TABLES):
        name = row["name"]
        values[f"table/{name}"] = row["bytes"] / MIB
        values[f"rows/{name}"] = row["live"]
        values[f"dead/{name}"] = row["dead"]
        if row["width"] and row["main"]:
            values[f"free/{name}"] = min(1.0, max(0.0, 1 - row["live"] * row["width"] / row["main"]))
    for row in await pool.fetch(INDEXES):
        values[f"index/{row['table_name']}.{row['name']}"] = row["bytes"] / MIB
    values["postgres/database"] = await pool.fetchval("select pg_database_size(current_database())::float8") / MIB
    values["postgres/sessions"] = float(
        await pool.fetchval("select count(*) from pg_stat_activity where backend_type = 'client backend'")
    )
    values |= {f"sessions/{row['name']}": row["count"] for row in await pool.fetch(SESSIONS)}
    [unfinished] = await pool.fetch(UNFINISHED)
    values |= {f"unfinished/{name}": value for name, value in dict(unfinished).items()}
    times: Any = await pool.fetchval(LATENCY, flow)
    if times is not None:
        values |= {"latency/flow p50": float(times[0]), "latency/flow p99": float(times[1])}
    return values


def percentiles(name: str, values: Iterable[float]) -> Values:
    """The median and the 99th percentile of times in ms, if there are any."""
    ordered = sorted(values)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p99": 0.99}
    last = len(ordered) - 1
    return {f"latency/{name} {key}": ordered[min(last, int(len(ordered) * share))] for key, share in shares.items()}


def cpu_seconds(pids: Mapping[str, int], redis: int, postgres: int) -> Values:
    """The CPU seconds of each process since its start. Those of Postgres include all its sessions."""
    used = {f"cpu/{name}": usage_of(pid).cpu_s for name, pid in {**pids, "redis": redis}.items()}
    return used | {"cpu/postgres": cpu_of_tree(postgres)}


def load_average() -> Values:
    """How many processes of the whole machine wanted a core in the last minute."""
    return {"machine/load": os.getloadavg()[0]}


def all_of_a_moment(pids: Mapping[str, int], redis: RedisServer, postgres: PostgresServer) -> Values:
    """What is read without asking Postgres. CPU seconds are those since the start."""
    servers = redis.pid or 0, postgres.pid or 0
    return processes(pids, *servers) | cpu_seconds(pids, *servers) | of_redis(redis) | load_average()
