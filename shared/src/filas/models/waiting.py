"""Executions that wait."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from filas.models.record import Record

WaitsFor = Literal["reply", "time", "call", "message"]
"""What ends a wait before its time is over: a reply of the contact, nothing (`time`), a call of the address of a
webhook node, or the outcome of a message."""


class WaitingExecution(Record, frozen=True, kw_only=True):
    """An execution that waits. `due`: when the wait ends by itself. `node_id` and `since`: the node that waits, and
    since when."""

    id: UUID
    waits_for: WaitsFor
    due: datetime
    since: datetime | None
    flow_id: str
    version: int
    node_id: str | None
    node_type: str | None
    event_id: UUID | None
    conversation_id: UUID | None
    channel: str | None
    contact: str | None
