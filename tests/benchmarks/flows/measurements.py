"""Resource use of a process and of the two servers, as the kernel and the servers report it."""

import os
from dataclasses import dataclass
from pathlib import Path

from filas_local.servers import RedisServer
from tests.flow_runner.processes import Stores

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
INTERVAL_S = 10

# Every statement of Filas is a transaction of its own, so commits count statements. There are no other sessions, and
# the benchmark's own queries are few.
COMMITS = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a process so far, and its resident memory in MiB, now and at most."""

    cpu_s: float
    rss_mib: float
    peak_mib: float


def usage_of(pid: int) -> Usage:
    """The usage of the process `pid`, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    sizes = {
        name: int(value.split()[0]) / 1024
        for name, _, value in (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if name in ("VmRSS", "VmHWM")
    }
    return Usage((int(fields[11]) + int(fields[12])) / TICKS_A_SECOND, sizes["VmRSS"], sizes["VmHWM"])


def private_mib(pid: int) -> float:
    """The memory that the process `pid` shares with no other, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def cpu_of_tree(pid: int) -> float:
    """CPU seconds of a process and of all its descendants, such as a Postgres with its sessions."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # the process has just ended
                continue
            parents[int(entry.name)] = int(fields[1])
            # Includes the time of children that have ended.
            spent[int(entry.name)] = sum(int(fields[number]) for number in (11, 12, 13, 14)) / TICKS_A_SECOND
    return sum(seconds for each, seconds in spent.items() if _descends(each, pid, parents))


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid not in (0, ancestor):
        pid = parents.get(pid, 0)
    return pid == ancestor


def redis_bytes(server: RedisServer) -> int:
    """The memory that Redis uses, in bytes."""
    return redis_number(server, "used_memory")


def redis_number(server: RedisServer, name: str) -> int:
    """A number of the answer to INFO. It is 0 if the answer lacks it: a Redis without a log reports no size of it."""
    lines = server.execute("INFO").splitlines()
    return int(next((line for line in lines if line.startswith(f"{name}:")), ":0").partition(":")[2])


async def commits(store: Stores) -> int:
    """The number of transactions that the database has ended."""
    found: int = await store.database.fetchval(COMMITS)
    return found


def percentile(values: list[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rates(times: list[float], began: float, took: float) -> list[float]:
    """Events a second in each interval of INTERVAL_S seconds that lies completely between `began` and `began + took`.
    `times` are the times of the events, on the clock of `began`."""
    counts = [0] * int(took // INTERVAL_S)
    for at in times:
        number = int((at - began) // INTERVAL_S)
        if 0 <= number < len(counts):
            counts[number] += 1
    return [count / INTERVAL_S for count in counts]
