"""DNS lookups in threads of their own, so that a name whose servers never answer delays no other.

The system's lookup blocks a thread, for up to half a minute. asyncio's default has only a few threads for the whole
process, and a few such names would occupy all of them.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOKUPS: Final = 64
"""The number of names that are looked up at a time, each in its own thread. Threads are created on demand."""

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""An item of `socket.getaddrinfo`. Its last part starts with the numeric address and the port."""

_Name = tuple[str, int, int]


class DnsLookup(AbstractResolver):
    """Looks names up in its own threads. Concurrent lookups of one name share the result."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_LOOKUPS, thread_name_prefix="names")
        self._under_way: dict[_Name, asyncio.Future[list[AddressInfo]]] = {}

    async def addresses(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[AddressInfo]:
        """Returns the host's addresses for TCP. Raises OSError, and UnicodeError for an invalid name."""
        name = (host, port, int(family))
        answer = self._under_way.get(name)
        if answer is None:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
            self._under_way[name] = answer
            answer.add_done_callback(lambda done: self._answered(name, done))
        # A cancelled caller must not cancel the lookup for the other callers; the thread cannot be stopped anyway.
        return await asyncio.shield(answer)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the addresses in the form of aiohttp's resolvers."""
        found: list[ResolveResult] = []
        for kind, _, protocol, _, address in await self.addresses(host, port, family):
            # A zone (`%eth0`) is the network interface of a link-local address.
            number = f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else address[0]
            found.append(
                ResolveResult(
                    hostname=host,
                    host=number,
                    port=address[1],
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return found

    async def close(self) -> None:
        """Drops the lookups under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answered(self, name: _Name, done: "asyncio.Future[list[AddressInfo]]") -> None:
        del self._under_way[name]
        if not done.cancelled():
            done.exception()  # asyncio warns about an exception that is never read, if all callers were cancelled


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
