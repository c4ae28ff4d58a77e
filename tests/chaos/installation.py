"""What the faults of a run can hit."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from filas_local.servers import RedisServer
from tests.chaos.archived_postgres import ArchivedPostgres
from tests.chaos.builds import Builds
from tests.chaos.links import Mode
from tests.chaos.outside import Receiver
from tests.chaos.schedule import Fault
from tests.chaos.stores import Stores
from tests.e2e.pipeline import Pipeline


class Way(Protocol):
    """A link, or all links of a process to a store."""

    def set(self, mode: Mode) -> None:
        """Changes what happens to the data, from now on."""


@dataclass(slots=True)
class Installation:
    """The processes and everything around them. `links` are by `process/other` (see `schedule.LINKS`)."""

    pipeline: Pipeline
    stores: Stores
    database: str
    links: Mapping[str, Way]
    receivers: Mapping[str, Receiver]
    builds: Builds
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def held(self, process: str) -> asyncio.Lock:
        """The lock of a process. A fault that takes longer than planned delays the next one of the same process."""
        return self._locks[process]

    @property
    def redis(self) -> RedisServer:
        """The server that accepts writes now."""
        return self.stores.redis.current

    @property
    def postgres(self) -> ArchivedPostgres:
        """The server."""
        return self.stores.postgres


Maker = Callable[[Installation, Fault], AbstractAsyncContextManager[None]]
"""Makes a fault that lasts as long as the block."""
