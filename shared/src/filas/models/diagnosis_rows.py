"""What the doctor reads from Postgres."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from filas.models.record import ErrorDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The clock of Postgres in Unix seconds, its connections, and the size of the database in bytes."""

    now_s: float
    max_connections: int
    connections: int
    database_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTransaction:
    """A transaction that has been open since `since`, by the process id of its session."""

    pid: int
    application: str
    state: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BloatedTable:
    """A table with more dead rows than live ones."""

    table_name: str
    dead: int
    live: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueTimers:
    """Executions whose wait ended a while ago."""

    count: int
    since: datetime | None
    ids: list[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Executions that have not ended, whose version or channel does not exist."""

    flow_id: str
    version: int
    channel: str | None
    no_flow: bool
    count: int
    since: datetime
    example: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMessages:
    """Messages of one channel that are not delivered yet. `unknown`: the channel does not exist. `error` is that of the
    newest attempt that failed."""

    channel_id: str
    count: int
    since: datetime
    unknown: bool
    example: UUID | None = None
    error: ErrorDetail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedMessages:
    """Messages of one channel that failed, with the error of the newest one."""

    channel_id: str
    count: int
    first: datetime
    last: datetime
    example: UUID
    error: ErrorDetail | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsWithoutConversation:
    """Events of one webhook whose templates found no contact or no channel."""

    webhook_id: str
    reason: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequests:
    """How many requests were refused recently and in a day, and the most frequent target and reason."""

    recent: int
    day: int
    target: str | None = None
    is_webhook: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableWebhook:
    """A webhook whose flow does not exist (`no_flow`) or has no published version."""

    id: str
    flow_id: str
    no_flow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedWork:
    """How many executions of a flow, or messages of a channel, have ended, and how many of them failed."""

    name: str
    ended: int
    failed: int
