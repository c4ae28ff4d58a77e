"""Conversations as the API shows them: a list, and the messages of one as a thread."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.executions import ExecutionStatus
from filas.models.notifications import NotificationStatus
from filas.models.record import ErrorDetail, Record

Direction = Literal["incoming", "outgoing"]


class Conversation(Record, frozen=True, kw_only=True):
    """A conversation. `contact` is the address under which it began, `address` the one to which messages are sent now.

    `last_execution_at`: when its newest message or flow began; None if retention has deleted its executions.
    """

    id: UUID
    channel: str
    contact: str
    contact_id: UUID | None
    address: str | None
    name: str | None
    account: str | None
    created_at: datetime
    updated_at: datetime
    last_execution_at: datetime | None


class ConversationMessage(Record, frozen=True, kw_only=True):
    """A message of a conversation.

    | field          | of an incoming message                            | of an outgoing message                |
    |----------------|---------------------------------------------------|---------------------------------------|
    | `id`           | the execution that it started                     | the notification                      |
    | `at`           | when its event was processed                      | when it was created                   |
    | `kind`         | the kind of the event                             | the type of the message               |
    | `text`         | what the contact wrote or chose, or None          | the text or caption, or None          |
    | `content`      | the whole message; None beyond 256 KiB            | the payload; None beyond 256 KiB      |
    | `execution_id` | the execution that it started or resumed          | the execution that sent it            |
    | `event_id`     | its event                                         | None                                  |
    | `status`       | None                                              | its delivery state; also `attempts`,  |
    |                |                                                   | `uncertain`, `error`, `updated_at`    |
    """

    direction: Direction
    id: UUID
    at: datetime
    kind: str | None
    text: str | None
    content: dict[str, Any] | None
    execution_id: UUID | None
    event_id: UUID | None = None
    channel_id: str | None = None
    status: NotificationStatus | None = None
    attempts: int = 0
    uncertain: bool = False
    error: ErrorDetail | None = None
    updated_at: datetime | None = None


class ConversationExecution(Record, frozen=True, kw_only=True):
    """An execution of a conversation."""

    id: UUID
    flow_id: str
    version: int
    status: ExecutionStatus
    error: ErrorDetail | None
    queued_at: datetime
    ended_at: datetime | None


class ConversationWait(Record, frozen=True, kw_only=True):
    """An execution that waits or is tried again: at which node, since when, and until when at the latest."""

    execution_id: UUID
    flow_id: str
    status: ExecutionStatus
    node_id: str | None
    since: datetime | None
    wake_at: datetime | None


class ConversationThread(Conversation, frozen=True, kw_only=True):
    """A conversation with one page of its messages, the newest first, its newest executions and its open waits."""

    messages: list[ConversationMessage]
    executions: list[ConversationExecution]
    waits: list[ConversationWait]
