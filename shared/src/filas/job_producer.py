"""The public producer: other Python code enqueues jobs for Filas with it.

    async with filas.Producer.from_env() as producer:
        await producer.add_webhook_job(webhook_id="orders", body={"text": "hello"})

The services use `filas.queue.producer` instead, with the messages of `filas.contract.jobs`.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import msgspec

from filas.contract.group_keys import conversation_group, webhook_group
from filas.contract.identity import new_id
from filas.contract.job_factories import job_of
from filas.contract.jobs import FROM_DEFINITION, FlowJob, FlowReason, JobMessage, NotificationJob, WebhookJob
from filas.queue.job_format import JobEncodeError
from filas.queue.producer import EnqueueResult, QueueProducer
from filas.queue.redis_client.connection import Redis, connect
from filas.settings.setting_groups import RedisSettings
from filas.settings.settings_reader import load

MILLISECONDS: Final = 1000
LATEST_MS: Final = 253_402_300_799_999
LONGEST_DELAY: Final = timedelta(days=3650)
"""The last millisecond of the year 9999."""

Message = TypeVar("Message", bound=JobMessage)


class Producer:
    """Enqueues jobs on the queues of Filas.

    Every method returns the id of the job and whether it was enqueued or is a duplicate. It raises ValueError, which
    names the argument, for a wrong value, TypeError for an unknown or missing argument, and StoreUnavailable if Redis
    cannot be reached. OutcomeUnknown, a subclass of it, means that the job may have been enqueued: the same call with
    the same id is safe.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._producer = QueueProducer(redis)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Returns a producer for the Redis of the `REDIS_*` variables (docs/reference/configuration.md).

        Raises SettingsError, which names the variable. Nothing is connected before the first job.
        """
        return cls(connect(load(RedisSettings, environ)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Waits for the jobs that are being enqueued, and closes the connection."""
        await self._producer.drain()
        await self._redis.close()

    async def add_webhook_job(  # noqa: PLR0913 - keyword arguments: the fields of a webhook
        self,
        *,
        webhook_id: str,
        body: Any,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query_params: Mapping[str, str | list[str]] | None = None,
        timestamp: int | datetime | None = None,
        flow_id: str | None = None,
        node_id: str | None = None,
        config: Mapping[str, Any] | None = None,
        event_id: UUID | str | None = None,
        group: str | None = None,
        defer_until: int | datetime | None = None,
        defer_by: timedelta | None = None,
    ) -> EnqueueResult:
        """Enqueues an event of the webhook `webhook_id` on `webhook-processing`, as if a sender had posted it.

        `body` is a value that can be written as JSON, or bytes. `timestamp` and `defer_until` are milliseconds since
        1970 or a datetime with a time zone; the default is now. `defer_by` is the time from now until the job is due,
        by the clock of Redis, so that the clock of this process has no effect. `flow_id` and `node_id` are the start of
        the flow; the default is that of the webhook's definition. `config` is stored with the event; the default is the
        definition's.
        `event_id` identifies the event, and a second job with the same id is a duplicate; the default is a new id. Jobs
        with the same `group` run one at a time, in the order of the calls; by default, all jobs of the webhook are one
        group, because only its definition determines the conversation.
        """
        is_binary = isinstance(body, bytes | bytearray)
        message = _message(
            WebhookJob,
            event_id=new_id() if event_id is None else event_id,
            webhook_id=webhook_id,
            method=method,
            headers={_lower(name): value for name, value in _mapping("headers", headers).items()},
            query_params=_mapping("query_params", query_params),
            body=bytes(body) if is_binary else body,
            body_kind="binary" if is_binary else "text" if isinstance(body, str) else "json",
            timestamp=int(time.time() * MILLISECONDS) if timestamp is None else _milliseconds("timestamp", timestamp),
            flow_id=FROM_DEFINITION if flow_id is None else flow_id,
            node_id=FROM_DEFINITION if node_id is None else node_id,
            config=_mapping("config", config),
            provider=FROM_DEFINITION,
        )
        return await self._enqueue(
            message, webhook_group(webhook_id) if group is None else group, (defer_until, defer_by)
        )

    async def add_flow_job(
        self,
        *,
        execution_id: UUID | str,
        flow_id: str,
        turn: int = 1,
        reason: FlowReason = "start",
        group: str | None = None,
        defer_until: int | datetime | None = None,
        defer_by: timedelta | None = None,
    ) -> EnqueueResult:
        """Enqueues run number `turn` of an existing execution on `flow-processing`.

        The job of a run that has already happened does nothing. Use the group `channel:contact` for an execution of a
        conversation, so that the order of the conversation is kept.
        """
        message = _message(FlowJob, execution_id=execution_id, turn=turn, flow_id=flow_id, reason=reason)
        return await self._enqueue(message, group, (defer_until, defer_by))

    async def add_notification_job(
        self,
        *,
        notification_id: UUID | str,
        channel_id: str,
        recipient: str | None = None,
        defer_until: int | datetime | None = None,
        defer_by: timedelta | None = None,
    ) -> EnqueueResult:
        """Enqueues the delivery of an existing notification on `notifications`.

        `recipient` is that of the notification: messages to one recipient are sent in order.
        """
        _check_text("recipient", recipient)
        message = _message(NotificationJob, notification_id=notification_id, channel_id=channel_id)
        return await self._enqueue(message, conversation_group(channel_id, recipient), (defer_until, defer_by))

    async def _enqueue(
        self, message: JobMessage, group: str | None, deferred: tuple[int | datetime | None, timedelta | None]
    ) -> EnqueueResult:
        _check_text("group", group)
        until, by = deferred
        if until is not None and by is not None:
            raise ValueError("wrong argument `defer_by`: it cannot be combined with `defer_until`")
        due_ms = None if until is None else _milliseconds("defer_until", until)
        job = replace(job_of(message, group=group, defer_until_ms=due_ms), delay_ms=_delay_ms(by))
        try:
            return await self._producer.enqueue(job)
        except JobEncodeError as error:
            raise ValueError(f"an argument cannot be enqueued: {error}") from None


def _message(message_type: type[Message], **fields: Any) -> Message:
    """Returns the message of these arguments. Raises ValueError, which names the wrong argument."""
    for name in ("webhook_id", "method", "channel_id"):
        if fields.get(name) == "":
            raise ValueError(f"wrong argument `{name}`: it is empty")
    wire_names = {field.name: field.encode_name for field in msgspec.structs.fields(message_type)}
    try:
        encoded = msgspec.to_builtins({wire_names[name]: value for name, value in fields.items()})
        return msgspec.convert(encoded, message_type)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        wire = path.rstrip("`").split(".")[0].split("[")[0]
        name = next((name for name, wire_name in wire_names.items() if wire_name == wire), wire)
        raise ValueError(f"wrong argument `{name}`: {text}") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"an argument cannot be written as JSON: {error}") from None


def _check_text(name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise ValueError(f"wrong argument `{name}`: it must be a text that is not empty")


def _lower(name: Any) -> Any:
    return name.lower() if isinstance(name, str) else name


def _mapping(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"wrong argument `{name}`: Expected `object`, got `{type(value).__name__}`")
    return dict(value)


def _delay_ms(delay: Any) -> int | None:
    if delay is None:
        return None
    if not isinstance(delay, timedelta) or delay > LONGEST_DELAY:
        raise ValueError(f"wrong argument `defer_by`: Expected a `timedelta` of at most {LONGEST_DELAY.days} days")
    return max(round(delay.total_seconds() * MILLISECONDS), 0)


def _milliseconds(name: str, moment: int | datetime) -> int:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"wrong argument `{name}`: a datetime needs a time zone")
        return round(moment.timestamp() * MILLISECONDS)
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise ValueError(f"wrong argument `{name}`: Expected milliseconds since 1970 as `int`, or a `datetime`")
    if not 0 <= moment <= LATEST_MS:
        raise ValueError(f"wrong argument `{name}`: {moment} is not a number of milliseconds since 1970")
    return moment
