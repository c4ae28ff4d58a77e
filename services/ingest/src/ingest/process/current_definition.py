"""Completes the jobs of other Python code, which leave parts to the present definition of their webhook."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from filas.contract.event_envelope import snapshot_of
from filas.contract.jobs import FROM_DEFINITION, WebhookJob
from filas.errors import PermanentError
from filas.models.configuration import Webhook


class WebhookStore(Protocol):
    """The definitions of webhooks (`WebhookRepository`)."""

    async def get(self, webhook_id: str) -> Webhook | None:
        """Returns the webhook, or None. Raises StoreUnavailable."""


async def complete(jobs: Sequence[WebhookJob], webhooks: WebhookStore) -> list[WebhookJob | PermanentError]:
    """Returns each job with its flow, node, provider, conversation, filter and config set, in the same order.

    The job of an undefined webhook is returned with its own flow and node, or as PermanentError if it has none. A job
    of acceptance is returned unchanged. Raises StoreUnavailable.
    """
    incomplete = {job.webhook_id for job in jobs if FROM_DEFINITION in (job.flow_id, job.node_id, job.provider)}
    definitions = {webhook_id: await webhooks.get(webhook_id) for webhook_id in incomplete}
    return [_completed(job, definitions[job.webhook_id]) if job.webhook_id in definitions else job for job in jobs]


def _completed(job: WebhookJob, webhook: Webhook | None) -> WebhookJob | PermanentError:
    if FROM_DEFINITION not in (job.flow_id, job.node_id, job.provider):
        return job
    if webhook is None:
        if FROM_DEFINITION in (job.flow_id, job.node_id):
            return PermanentError(f"webhook {job.webhook_id!r} does not exist, and the job names no flow and node")
        return msgspec.structs.replace(job, provider="none")
    snapshot = snapshot_of(webhook)
    return msgspec.structs.replace(
        job,
        flow_id=job.flow_id or webhook.flow_id,
        node_id=job.node_id or webhook.node_id,
        provider=snapshot.provider,
        conversation=snapshot.conversation,
        config=job.config or snapshot.config,
        filter=snapshot.filter,
    )
