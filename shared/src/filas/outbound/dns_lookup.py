"""Names of hosts, looked up so that one whose servers never answer delays no other.

The system's lookup blocks a thread, for as long as half a minute. Python lends it one of a handful of threads that
everything shares: a few dead names would hold them all.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOKUPS: Final = 64
"""Names that are looked up at a time, each in a thread of its own; further ones wait. Idle threads are few: they are
made when they are needed."""

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""What `socket.getaddrinfo` gives for each address; the last begins with the number and the port."""

_Name = tuple[str, int, int]


class Names(AbstractResolver):
    """Looks names up, in threads of its own; who asks for one that is being looked up waits for the same answer."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_LOOKUPS, thread_name_prefix="names")
        self._under_way: dict[_Name, asyncio.Future[list[AddressInfo]]] = {}

    async def addresses(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[AddressInfo]:
        """The host's addresses for TCP. Raises OSError, and UnicodeError for what can be no name."""
        name = (host, port, int(family))
        answer = self._under_way.get(name)
        if answer is None:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
            self._under_way[name] = answer
            answer.add_done_callback(lambda done: self._answered(name, done))
        # Who gives up leaves the others their answer, and the thread can't be called back anyway.
        return await asyncio.shield(answer)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The same as aiohttp wants it."""
        found: list[ResolveResult] = []
        for kind, _, protocol, _, address in await self.addresses(host, port, family):
            # A zone names the network card of a link-local address.
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
        """Forget what is under way: nobody waits for it any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answered(self, name: _Name, done: "asyncio.Future[list[AddressInfo]]") -> None:
        del self._under_way[name]
        if not done.cancelled():
            done.exception()  # looked at here, lest everybody has given up and nobody does


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
