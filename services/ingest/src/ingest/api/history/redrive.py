"""Replays dead letters: one, perhaps with another job message, or all that match a filter, at a rate."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

import msgspec

from filas.contract import jobs, policies
from filas.contract.job_factories import next_replay_job
from filas.contract.jobs import JobMessage, WebhookJob
from filas.contract.new_job import NewJob
from filas.contract.policies import QueuePolicy
from filas.errors import JobDecodeError, NewerVersionRequired
from filas.models.configuration import Webhook
from filas.models.dead_letters import DeadLetter
from filas.queue.producer import EnqueueOutcome
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.identifiers import named_queue
from ingest.api.routing.moments import Moment
from ingest.api.routing.route_types import Body, Word
from ingest.event.event_jobs import group_of_job, job_at_present

PAGE: Final = 200
MAX_REFUSED_SHOWN: Final = 100
"""The largest number of refused dead letters that an answer lists."""

JOB_REFUSED: Final = "the queue cannot hold the job"


class NotReplayable(Exception):
    """The dead letter has no job that can be enqueued. The message is the reason."""


class RedriveBody(Body, frozen=True, kw_only=True):
    """Selects dead letters and sets the rate. Without a filter: all that have not been replayed.

    A dead letter must match all filters. `since` is inclusive, `until` is exclusive.
    """

    queue: Word | None = None
    function: Word | None = None
    error_kind: Word | None = None
    fingerprint: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[
        int, msgspec.Meta(ge=1, le=10_000, description="The largest number of dead letters to replay.")
    ] = 1000
    rate: (
        Annotated[
            float,
            msgspec.Meta(gt=0, le=10_000, description="Jobs per second: the due times of the jobs are spread."),
        ]
        | None
    ) = None
    dry_run: Annotated[bool, msgspec.Meta(description="Only report what would be replayed.")] = False


class RefusedLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A dead letter that matches and cannot be replayed, and why."""

    id: str
    reason: str


class RedriveResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a redrive, or with `dryRun` the result that it would have.

    | field | meaning |
    |---|---|
    | `matched` | dead letters that match, up to `limit` |
    | `replayed` | dead letters whose job was enqueued |
    | `duplicates` | dead letters whose job was in its queue already; they are marked as replayed too |
    | `refusedCount`, `refused` | dead letters that cannot be replayed, and up to 100 of them with the reason |
    | `queues`, `errorKinds` | the number of matches by queue and by kind of error |
    | `more` | more dead letters match than `limit` |
    | `takesS` | the seconds until the last job is due |
    """

    dry_run: bool
    matched: int
    replayed: int
    duplicates: int
    refused_count: int
    refused: list[RefusedLetter]
    queues: dict[str, int]
    error_kinds: dict[str, int]
    more: bool
    takes_s: float


class WebhookStore(Protocol):
    """The definitions of webhooks (`WebhookRepository`)."""

    async def get(self, webhook_id: str) -> Webhook | None:
        """Returns the webhook, or None. Raises StoreUnavailable."""


async def replay_job(letter: DeadLetter, webhooks: WebhookStore, delay_ms: int | None = None) -> NewJob:
    """Returns the job of the next replay of a dead letter, due now or after `delay_ms`. An event is processed by the
    present definition of its webhook. Raises NotReplayable and StoreUnavailable."""
    if letter.payload is None:
        raise NotReplayable("the payload is not a job message")
    _, message = _decoded(letter, letter.payload)
    if isinstance(message, WebhookJob) and (webhook := await webhooks.get(message.webhook_id)) is not None:
        message = job_at_present(message, webhook)
        return next_replay_job(message, group_of_job(message), delay_ms)
    return next_replay_job(message, letter.group_key, delay_ms)


def edited_replay_job(letter: DeadLetter, payload: dict[str, Any]) -> NewJob:
    """Returns the job of the next replay with `payload` as its job message.

    The payload must have the same key as the job of the dead letter. Raises NotReplayable with what is wrong with it.
    """
    policy, message = _decoded(letter, payload)
    if policy.job_id(message.key) != letter.job_id:
        raise NotReplayable(f"the payload is of another job than {letter.job_id}: ids, turn and replay must not change")
    return next_replay_job(message, letter.group_key, None)


def replay_number(job: NewJob) -> int:
    """Returns the number of the replay, from 1."""
    return 0 if job.message is None else job.message.replay


async def enqueue_replays(
    context: ApiContext, replays: Sequence[tuple[DeadLetter, NewJob]], run: UUID | None = None
) -> list[EnqueueOutcome]:
    """Enqueues the jobs in order and marks their dead letters as replayed. Returns the outcomes in the same order.
    `run` is the replay run that does it."""
    events = [(one.event_id, one.replay) for _, job in replays if isinstance(one := job.message, WebhookJob)]
    if events:
        await context.events.reopen_many(events)
    outcomes = await context.producer.enqueue_many([job for _, job in replays])
    replayed = [
        (letter.id, job.job_id)
        for (letter, job), outcome in zip(replays, outcomes, strict=True)
        if outcome is not EnqueueOutcome.REFUSED
    ]
    await context.dead_letters.mark_replayed(replayed, run)
    return outcomes


class WebhooksReadOnce:
    """Reads each webhook once: many dead letters and events have the same one."""

    def __init__(self, webhooks: WebhookStore) -> None:
        self._webhooks = webhooks
        self._found: dict[str, Webhook | None] = {}

    async def get(self, webhook_id: str) -> Webhook | None:
        """Returns the webhook, or None. Raises StoreUnavailable."""
        if webhook_id not in self._found:
            self._found[webhook_id] = await self._webhooks.get(webhook_id)
        return self._found[webhook_id]


@dataclass(slots=True)
class _Tally:
    """Counts the result of a redrive page by page."""

    matched: int = 0
    scheduled: int = 0
    more: bool = False
    outcomes: Counter[EnqueueOutcome] = field(default_factory=Counter)
    queues: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedLetter] = field(default_factory=list)

    def result(self, body: RedriveBody) -> RedriveResult:
        """Returns the answer."""
        return RedriveResult(
            dry_run=body.dry_run,
            matched=self.matched,
            replayed=self.scheduled if body.dry_run else self.outcomes[EnqueueOutcome.ENQUEUED],
            duplicates=self.outcomes[EnqueueOutcome.DUPLICATE],
            refused_count=len(self.refused),
            refused=self.refused[:MAX_REFUSED_SHOWN],
            queues=dict(self.queues),
            error_kinds=dict(self.kinds),
            more=self.more,
            takes_s=round(max(self.scheduled - 1, 0) / body.rate, 3) if body.rate else 0.0,
        )


async def redrive(context: ApiContext, body: RedriveBody) -> RedriveResult:
    """Replays the dead letters that `body` selects, oldest first, page by page.

    If a store becomes unavailable, the finished pages are marked as replayed, and a second call does the rest.
    """
    start_s = monotonic()
    tally, webhooks = _Tally(), WebhooksReadOnce(context.webhooks)
    async for page in _matching(context, body):
        replays: list[tuple[DeadLetter, NewJob]] = []
        for letter in page[: body.limit - tally.matched]:
            tally.queues[letter.queue] += 1
            tally.kinds[letter.error.kind] += 1
            try:
                replays.append(
                    (letter, await replay_job(letter, webhooks, delay_ms(start_s, tally.scheduled, body.rate)))
                )
                tally.scheduled += 1
            except NotReplayable as error:
                tally.refused.append(RefusedLetter(id=str(letter.id), reason=str(error)))
        if replays and not body.dry_run:
            outcomes = await enqueue_replays(context, replays)
            tally.outcomes.update(outcomes)
            tally.refused += _refused_by_queue(replays, outcomes)
        tally.more = tally.matched + len(page) > body.limit
        tally.matched = min(tally.matched + len(page), body.limit)
        if tally.more:
            break
    return tally.result(body)


async def _matching(context: ApiContext, body: RedriveBody) -> AsyncIterator[list[DeadLetter]]:
    """Yields the dead letters that match, oldest first, without the limit."""
    queue = None if body.queue is None else named_queue(body.queue).name
    last: DeadLetter | None = None
    while True:
        page = await context.dead_letters.replayable(
            queue=queue, function=body.function, since=body.since, until=body.until, after=last, limit=PAGE
        )
        if not page:
            return
        # The error is JSON that may have characters which Postgres cannot search, so its kind is compared here.
        matching = [
            one
            for one in page
            if body.error_kind in (None, one.error.kind) and body.fingerprint in (None, one.fingerprint)
        ]
        if matching:
            yield matching
        last = page[-1]


def _refused_by_queue(
    replays: Sequence[tuple[DeadLetter, NewJob]], outcomes: Sequence[EnqueueOutcome]
) -> list[RefusedLetter]:
    return [
        RefusedLetter(id=str(letter.id), reason=JOB_REFUSED)
        for (letter, _), outcome in zip(replays, outcomes, strict=True)
        if outcome is EnqueueOutcome.REFUSED
    ]


def delay_ms(start_s: float, number: int, rate: float | None) -> int | None:
    """Returns in how many ms the job `number` (from 0) is due; None: now. `start_s`: the start in monotonic seconds."""
    if rate is None or number == 0:
        return None
    return max(int((start_s + number / rate - monotonic()) * 1000), 0)


def _decoded(letter: DeadLetter, payload: dict[str, Any]) -> tuple[QueuePolicy, JobMessage]:
    policy = policies.find(letter.queue)
    if policy is None:
        raise NotReplayable(f"this version has no queue {letter.queue!r}")
    try:
        return policy, jobs.decode(policy, payload, jobs.message_type(policy, letter.function))
    except (JobDecodeError, NewerVersionRequired) as error:
        raise NotReplayable(str(error)) from None
