"""Starts Sentinels and a Cluster on the loopback interface."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redis import Connection, RedisError

from filas_local.launching import bound_to_parent
from filas_local.servers import RedisServer, redis_binary
from tests.ports import free_port

SLOTS = 16_384
CLUSTER_BUS = 10_000
"""The difference between the port for the other nodes of a Cluster and the port for clients."""

_BOUND_S = 60.0


class Node(RedisServer):
    """A Redis server with further lines in its configuration. With `sentinel=True` it is a Sentinel."""

    def __init__(self, data_dir: Path, *lines: str, sentinel: bool = False) -> None:
        super().__init__(data_dir, port=free_port(CLUSTER_BUS), fsync="no", databases=1)
        self._lines = lines
        self._sentinel = sentinel

    def prepare(self) -> None:
        """Writes the configuration once, because a Sentinel stores its own state in it."""
        path = self.data_dir / "redis.conf"
        if path.exists():
            return
        super().prepare()
        if self._sentinel:
            path.write_text(f'bind {self.host}\nport {self.port}\ndir "{self.data_dir}"\n')
        with path.open("a") as file:
            file.write("\n".join(self._lines) + "\n")

    def answers(self) -> bool:
        """Whether the server accepts commands."""
        try:
            return "PONG" in self.execute("PING") if self._sentinel else super().answers()
        except OSError:
            return False

    def execute(self, *commands: str, database: int = 0) -> str:
        """Returns the answers to `commands`. A Sentinel has no databases, and newer ones have no `QUIT`."""
        if not self._sentinel:
            return super().execute(*commands, database=database)
        make: Any = Connection  # redis-py's constructor has no types
        connection = make(host=self.host, port=self.port, socket_timeout=30)
        answers = []
        try:
            for command in commands:
                connection.send_command(*command.split())
                answers.append(str(connection.read_response()))
        except RedisError as error:
            raise OSError(str(error)) from error
        finally:
            connection.disconnect()
        return "\n".join(answers)

    def command(self) -> list[str]:
        """Returns the command that starts the server."""
        mode = ["--sentinel"] if self._sentinel else []
        return bound_to_parent([redis_binary(), str(self.data_dir / "redis.conf"), *mode])


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _BOUND_S
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} took more than {_BOUND_S:.0f} s")
        time.sleep(0.05)


class Sentinels:
    """Three Sentinels that watch a master and its replica. They promote the replica when the master dies."""

    master_name = "filas"

    def __init__(self, master: Node, replica: Node, watchers: list[Node]) -> None:
        self.master = master
        self.replica = replica
        self.watchers = watchers

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses of the Sentinels."""
        return [(watcher.host, watcher.port) for watcher in self.watchers]


@contextlib.contextmanager
def sentinels(directory: Path) -> Iterator[Sentinels]:
    """Starts the servers, and waits until the Sentinels agree about the master."""
    with ExitStack() as stack:
        master = stack.enter_context(Node(directory / "master"))
        replica = stack.enter_context(
            Node(directory / "replica", f"replicaof 127.0.0.1 {master.port}", "repl-diskless-sync-delay 0")
        )
        watchers = [
            stack.enter_context(
                Node(
                    directory / f"sentinel-{number}",
                    f"sentinel monitor {Sentinels.master_name} 127.0.0.1 {master.port} 2",
                    f"sentinel down-after-milliseconds {Sentinels.master_name} 2500",
                    f"sentinel failover-timeout {Sentinels.master_name} 5000",
                    sentinel=True,
                )
            )
            for number in range(3)
        ]
        _until(lambda: "master_link_status:up" in replica.execute("INFO replication"), "replication")

        def agreed() -> bool:
            try:
                states = [watcher.execute(f"SENTINEL CKQUORUM {Sentinels.master_name}") for watcher in watchers]
            except OSError:
                return False  # NOQUORUM
            seen = [watcher.execute(f"SENTINEL REPLICAS {Sentinels.master_name}") for watcher in watchers]
            return all("3 usable" in state for state in states) and all("replica" in one or "slave" in one
                                                                        for one in seen)  # fmt: skip

        _until(agreed, "the Sentinels' agreement")
        yield Sentinels(master, replica, watchers)


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[list[Node]]:
    """Starts a Cluster of three masters that share the slots."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                Node(
                    directory / f"node-{number}",
                    "cluster-enabled yes",
                    "cluster-node-timeout 2000",
                    "cluster-config-file nodes.conf",
                )
            )
            for number in range(3)
        ]
        for number, node in enumerate(nodes):
            low, high = number * SLOTS // 3, (number + 1) * SLOTS // 3
            node.execute(f"CLUSTER ADDSLOTS {' '.join(map(str, range(low, high)))}")
            node.execute(f"CLUSTER SET-CONFIG-EPOCH {number + 1}")
        for node in nodes[1:]:
            nodes[0].execute(f"CLUSTER MEET 127.0.0.1 {node.port}")
        _until(lambda: all("cluster_state:ok" in node.execute("CLUSTER INFO") for node in nodes), "the Cluster")
        yield nodes
