"""What the faults of a run can hit."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from filas_local.servers import PostgresServer, RedisServer
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


Maker = Callable[[Installation, Fault], AbstractAsyncContextManager[None]]
"""Makes a fault that lasts as long as the block."""
