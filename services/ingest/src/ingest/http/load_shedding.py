"""Load shedding: the phase of each connection, and the choice of the connection to close beyond the limit."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Final, Generic, Protocol, TypeVar

ADDRESS_SHARE: Final = 4
"""One address keeps at most a quarter of the connections when there are too many."""


class Phase(IntEnum):
    """What a connection waits for.

    | phase | waits for | ends with |
    |---|---|---|
    | receiving | the rest of a request: its head or its body | the complete request |
    | answering | its handler | the answer |
    | unread | the client to read its answers | most of them are read |
    | idle | the next request of a client that has its answers | the first byte of it |
    | closing | the client, which has got its last answer | the end of the connection |
    """

    RECEIVING = 0
    ANSWERING = 1
    UNREAD = 2
    IDLE = 3
    CLOSING = 4


SHED_ORDER: Final = (Phase.CLOSING, Phase.UNREAD, Phase.RECEIVING, Phase.IDLE)
"""The phases in which a connection may be shed. A client that has its last answer, or that doesn't read, loses nothing.
An incomplete request makes room before an honest one waits. A client that has been idle can connect again."""


class Connection(Protocol):
    """A connection as this module sees it."""

    address_key: str
    """What connections are counted by."""
    phase: Phase
    """Set by the table alone."""


C = TypeVar("C", bound=Connection)


class ConnectionTable(Generic[C]):
    """The open connections by phase, each phase in the order of its beginning.

    Chooses the connection to shed beyond `max_connections`: of the addresses that hold more than a quarter of them,
    else of all, the one that has been longest in the first phase of SHED_ORDER that has any, else the new one. A
    connection whose request is being answered is never shed. `is_shared`: whether an address is that of a proxy, which
    holds the connections of many clients.
    """

    def __init__(self, max_connections: int, clock: Callable[[], float], is_shared: Callable[[str], bool]) -> None:
        self._max = max_connections
        self._clock = clock
        self._is_shared = is_shared
        self._share = max(1, max_connections // ADDRESS_SHARE)
        self._open: set[C] = set()
        self._since: list[dict[C, float]] = [{} for _ in Phase]
        self._by_address: Counter[str] = Counter()
        self._above_share: set[str] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[C]:
        return iter(tuple(self._open))

    def add(self, connection: C) -> None:
        """Adds a new connection. It waits for its first request."""
        key = connection.address_key
        self._open.add(connection)
        connection.phase = Phase.RECEIVING
        self._since[Phase.RECEIVING][connection] = self._clock()
        self._by_address[key] += 1
        if self._by_address[key] > self._share and not self._is_shared(key):
            self._above_share.add(key)

    def remove(self, connection: C) -> None:
        """Removes a connection that has ended or is about to end. A second call does nothing."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        del self._since[connection.phase][connection]
        key = connection.address_key
        self._by_address[key] -= 1
        if self._by_address[key] <= self._share:
            self._above_share.discard(key)
        if self._by_address[key] == 0:
            del self._by_address[key]

    def move(self, connection: C, phase: Phase) -> None:
        """Records that the connection is in `phase` now. A removed connection stays removed."""
        if self._since[connection.phase].pop(connection, None) is not None:
            connection.phase = phase
            self._since[phase][connection] = self._clock()

    def of(self, phase: Phase) -> Iterator[C]:
        """Returns the connections in `phase`. The first one has been in it longest."""
        return iter(tuple(self._since[phase]))

    def longer_than(self, seconds: float, phase: Phase) -> list[C]:
        """Returns the connections that have been in `phase` for at least `seconds`."""
        latest = self._clock() - seconds
        found: list[C] = []
        for connection, since in self._since[phase].items():
            if since > latest:
                break
            found.append(connection)
        return found

    def to_shed(self, newest: C) -> C | None:
        """Returns the connection to close after `newest` was added; None if the limit is kept."""
        if len(self._open) <= self._max:
            return None
        if self._above_share:
            found = self._longest_waiting(newest, lambda one: one.address_key in self._above_share)
            if found is not None:
                return found
            if newest.address_key in self._above_share:
                return newest
        return self._longest_waiting(newest, lambda _one: True) or newest

    def _longest_waiting(self, newest: C, matches: Callable[[C], bool]) -> C | None:
        for phase in SHED_ORDER:
            for connection in self._since[phase]:
                if connection is not newest and matches(connection):
                    return connection
        return None


@functools.lru_cache(maxsize=8192)
def address_key(address: str | None) -> str:
    """Returns the key by which connections from `address` are counted: an IPv6 client has a whole /64 network."""
    if address is None:
        return ""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
