"""Rows that only other services write, written as they write them."""

import time
from uuid import UUID

from filas.contract.policies import WEBHOOKS
from filas.models.notifications import NotificationOutcome
from filas.models.record import ErrorDetail
from filas.queue.job_format import encode_job
from tests.ingest.api.serving import Api
from tests.shared.repository import builders


async def delayed_job(api: Api, job_id: str) -> None:
    """Enqueues a job of an arq producer on `webhook-processing`, due in an hour."""
    due_ms = time.time_ns() // 1_000_000 + 3_600_000
    await api.redis.command("SET", f"arq:job:{job_id}", encode_job("process_webhook", None, due_ms))
    await api.redis.command("ZADD", WEBHOOKS.name, due_ms, job_id)


async def queued_notifications(api: Api, execution_id: UUID, count: int = 1) -> list[UUID]:
    """Stores `count` notifications of an execution over the channel `console`."""
    claimed = await api.context.executions.claim(execution_id, 1, "a-worker", 30)
    assert claimed is not None
    sent = [
        builders.notification(execution_id, seq, channel_id="console", conversation_id=None)
        for seq in range(1, count + 1)
    ]
    steps = [builders.step(seq) for seq in range(1, count + 1)]
    written = builders.checkpoint(claimed, "succeeded", steps=steps, notifications=sent)
    await api.context.executions.checkpoint_many([written])
    page = await api.context.notifications.search(execution_id=execution_id)
    assert len(page.items) == count
    return [one.id for one in sent]


async def attempted(api: Api, notification_id: UUID, *, succeeds: bool) -> None:
    """Records a delivery attempt: the provider accepted it, or did not answer and it will be retried."""
    begun = await api.context.notifications.begin_attempt(notification_id)
    assert begun is not None
    outcome = NotificationOutcome(id=notification_id, attempt=begun.attempts, outcome="retry", status="retrying",
        error=ErrorDetail(kind="timeout", message="no answer within 10 s"),
    )  # fmt: skip
    if succeeds:
        outcome = NotificationOutcome(
            id=notification_id, attempt=begun.attempts, outcome="sent", status="sent", status_code=202, provider_id="p7"
        )
    assert await api.context.notifications.record(outcome)
