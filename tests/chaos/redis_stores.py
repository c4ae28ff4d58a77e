"""The Redis of a run: one server, or a master and a replica that Sentinels watch. Each process has links of its own."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from filas_local.launching import LocalRunError
from filas_local.servers import RedisServer
from tests.chaos.links import Link, Mode
from tests.shared.queue.topologies import Node, Sentinels, sentinels

WHOLE_BOUND_S: Final = 90.0
"""How long the Sentinels may take until a master has its replica again."""

_LOOK_S: Final = 0.1


class RedisStore(Protocol):
    """What the faults need to know of it."""

    @property
    def current(self) -> RedisServer:
        """The server that accepts writes, or did so last."""

    def wait_whole(self) -> None:
        """Returns when everything works again. Raises LocalRunError."""

    def links(self) -> contextlib.AbstractAsyncContextManager["RedisLinks"]:
        """New links, for one process."""


@dataclass(slots=True)
class RedisLinks:
    """All ways of one process to Redis: they are slow or cut together. `environment` are its variables."""

    environment: Mapping[str, str]
    parts: Sequence[Link]

    def set(self, mode: Mode) -> None:
        """Changes what happens to the data, from now on."""
        for one in self.parts:
            one.set(mode)


class SingleRedis:
    """One server."""

    def __init__(self, server: RedisServer) -> None:
        self.current = server

    def wait_whole(self) -> None:
        """Returns when the server answers."""
        self.current.wait_ready()

    @asynccontextmanager
    async def links(self) -> AsyncIterator[RedisLinks]:
        """One link."""
        async with Link((self.current.host, self.current.port)) as link:
            yield RedisLinks({"REDIS_PORT": str(link.port)}, [link])


class WatchedRedis:
    """A master and its replica, which Sentinels promote when the master dies."""

    def __init__(self, group: Sentinels) -> None:
        self._group = group
        self._nodes = (group.master, group.replica)
        self._master = group.master

    @property
    def current(self) -> Node:
        """The master that the Sentinels name; the last known one while none of them answers."""
        for watcher in self._group.watchers:
            with contextlib.suppress(OSError):
                named = watcher.execute(f"SENTINEL GET-MASTER-ADDR-BY-NAME {Sentinels.master_name}")
                self._master = next((one for one in self._nodes if f"'{one.port}'" in named), self._master)
                break
        return self._master

    @property
    def replica(self) -> Node:
        """The other server."""
        return next(one for one in self._nodes if one is not self.current)

    def wait_promoted(self, before: Node) -> None:
        """Returns when another server than `before` is the master. Raises LocalRunError."""
        _wait(
            lambda: self.current is not before and "role:master" in _info(self.current),
            "the Sentinels promote no replica",
        )

    def wait_whole(self) -> None:
        """Returns when the Sentinels agree about a master that has its replica. Raises LocalRunError."""
        _wait(self._is_whole, "the master has no replica")

    def _is_whole(self) -> bool:
        master = self.current
        replica = next(one for one in self._nodes if one is not master)
        try:
            named = [
                watcher.execute(f"SENTINEL GET-MASTER-ADDR-BY-NAME {Sentinels.master_name}")
                for watcher in self._group.watchers
            ]
        except OSError:
            return False
        state = _info(replica)
        return (
            all(f"'{master.port}'" in one for one in named)
            and "role:master" in _info(master)
            and f"master_port:{master.port}" in state
            and "master_link_status:up" in state
        )

    @asynccontextmanager
    async def links(self) -> AsyncIterator[RedisLinks]:
        """A link to each server and to each Sentinel. The Sentinels' answers name the links of this process instead of
        the servers."""
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(Link((one.host, one.port))) for one in self._nodes]
            ports = {one.port: link.port for one, link in zip(self._nodes, servers, strict=True)}
            watchers = [
                await stack.enter_async_context(Link(address, rewrite=_other_ports(ports)))
                for address in self._group.addresses
            ]
            addresses = ",".join(f"127.0.0.1:{one.port}" for one in watchers)
            variables = {"REDIS_SENTINELS": addresses, "REDIS_SENTINEL_MASTER": Sentinels.master_name}
            yield RedisLinks(variables, [*servers, *watchers])


@contextmanager
def single_redis(directory: Path, logs: Path) -> Iterator[SingleRedis]:
    """Starts one server."""
    with RedisServer(directory / "redis", log_path=logs / "redis.log") as server:
        yield SingleRedis(server)


@contextmanager
def watched_redis(directory: Path) -> Iterator[WatchedRedis]:
    """Starts a master, a replica and three Sentinels."""
    with sentinels(directory) as group:
        yield WatchedRedis(group)


def _info(node: Node) -> str:
    try:
        return node.execute("INFO replication")
    except OSError:
        return ""


def _wait(done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WHOLE_BOUND_S
    while not done():
        if time.monotonic() > deadline:
            raise LocalRunError(f"{otherwise} after {WHOLE_BOUND_S:.0f} s")
        time.sleep(_LOOK_S)


def _other_ports(ports: Mapping[int, int]) -> Callable[[bytes], bytes]:
    """Replaces each port in the answers of a Sentinel, which are short enough to arrive in one piece."""
    names = {_bulk(port): _bulk(other) for port, other in ports.items()}

    def rewrite(data: bytes) -> bytes:
        for name, other in names.items():
            data = data.replace(name, other)
        return data

    return rewrite


def _bulk(port: int) -> bytes:
    """A port in Redis' protocol."""
    return b"$%d\r\n%d\r\n" % (len(str(port)), port)
