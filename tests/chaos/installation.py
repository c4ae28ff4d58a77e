"""What the faults of a run can hit."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from filas_local.servers import PostgresServer, RedisServer
from tests.chaos.builds import Builds
from tests.chaos.links import Link
from tests.chaos.outside import Receiver
from tests.chaos.schedule import Fault
from tests.e2e.pipeline import Pipeline


@dataclass(slots=True)
class Installation:
    """The processes and everything around them. `links` are by `process/other` (see `schedule.LINKS`)."""

    pipeline: Pipeline
    redis: RedisServer
    postgres: PostgresServer
    database: str
    links: Mapping[str, Link]
    receivers: Mapping[str, Receiver]
    builds: Builds
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def held(self, process: str) -> asyncio.Lock:
        """The lock of a process. A fault that takes longer than planned delays the next one of the same process."""
        return self._locks[process]


Maker = Callable[[Installation, Fault], AbstractAsyncContextManager[None]]
"""Makes a fault that lasts as long as the block."""
