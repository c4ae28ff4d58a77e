"""Dead letters put back: one, changed if need be, or all that match, at a rate."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from time import time
from typing import Annotated, Any, Final

import msgspec

from filas.contract import jobs, policies
from filas.contract.job_factories import next_replay_job
from filas.contract.jobs import JobMessage, WebhookJob
from filas.contract.new_job import NewJob
from filas.contract.policies import QueuePolicy
from filas.errors import JobDecodeError
from filas.models.dead_letters import DeadLetter
from filas.queue.producer import EnqueueOutcome
from ingest.api.history.event_routes import Moment
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.identifiers import named_queue
from ingest.api.routing.route_types import Body, Word

PAGE: Final = 200
MOST_TOLD: Final = 100
"""How many refused letters an answer names."""


class NotReplayable(Exception):
    """There is nothing to put back. The message says why."""


class LettersReplay(Body, frozen=True, kw_only=True):
    """Which letters are put back, and how quickly. All filters that are given must hold; without any, it is all letters
    that have not been put back. `since` is inclusive, `until` is not."""

    queue: Word | None = None
    function: Word | None = None
    error_kind: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="How many letters at most.")] = 1000
    rate: (
        Annotated[
            float,
            msgspec.Meta(gt=0, le=10_000, description="Jobs a second: each is due so much later than the one before."),
        ]
        | None
    ) = None
    dry_run: Annotated[bool, msgspec.Meta(description="Only tell what would be done.")] = False


class LetterRefused(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A letter that matches and can't be put back, and why."""

    id: str
    reason: str


class LettersPutBack(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of the letters that `matched`, or would.

    `duplicates`: their job stood in its queue already; they are marked as the `replayed` are. `refusedCount` letters
    can't be put back, of which `refused` names up to a hundred. `queues` and `errorKinds` count what matched.
    `more`: letters beyond `limit` match too. `takesS`: in how many seconds the last of the jobs is due.
    """

    dry_run: bool
    matched: int
    replayed: int
    duplicates: int
    refused_count: int
    refused: list[LetterRefused]
    queues: dict[str, int]
    error_kinds: dict[str, int]
    more: bool
    takes_s: float


def job_of(letter: DeadLetter, due_ms: int | None = None) -> NewJob:
    """The job of a letter under the key of its next replay, due now or at `due_ms` (Unix ms). Raises NotReplayable."""
    if letter.payload is None:
        raise NotReplayable("its payload is no message, so there is nothing to put back")
    _, message = _decoded(letter, letter.payload)
    return next_replay_job(message, letter.group_key, due_ms)


def edited_job_of(letter: DeadLetter, payload: dict[str, Any]) -> NewJob:
    """The same with `payload` as its message, which must name the row that the letter's job names. Raises NotReplayable
    saying what is wrong with the payload."""
    policy, message = _decoded(letter, payload)
    if policy.job_id(message.key) != letter.job_id:
        raise NotReplayable(f"it is another job than {letter.job_id}: its ids, turn and replay must stay")
    return next_replay_job(message, letter.group_key, None)


def replay_number(job: NewJob) -> int:
    """Which replay of its message a job is, from 1."""
    return 0 if job.message is None else job.message.replay


async def put_back(context: ApiContext, chosen: Sequence[tuple[DeadLetter, NewJob]]) -> list[EnqueueOutcome]:
    """Put the jobs, in their order, and mark their letters; the outcomes in the same order."""
    events = [job.message.event_id for _, job in chosen if isinstance(job.message, WebhookJob)]
    if events:
        await context.events.reopen_many(events)
    outcomes = await context.producer.enqueue_many([job for _, job in chosen])
    done = [
        (letter.id, job.job_id)
        for (letter, job), outcome in zip(chosen, outcomes, strict=True)
        if outcome is not EnqueueOutcome.REFUSED
    ]
    await context.dead_letters.mark_replayed(done)
    return outcomes


async def replay_many(context: ApiContext, order: LettersReplay) -> LettersPutBack:
    """Put back what `order` asks for, page by page: should a store be lost, what is done is marked, and a second call
    does the rest."""
    begun_ms = time() * 1000
    matched = put = 0
    outcomes: Counter[EnqueueOutcome] = Counter()
    queues: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    refused: list[LetterRefused] = []
    more = False
    async for page in _matching(context, order):
        chosen: list[tuple[DeadLetter, NewJob]] = []
        for letter in page[: order.limit - matched]:
            queues[letter.queue] += 1
            kinds[letter.error.kind] += 1
            try:
                chosen.append((letter, job_of(letter, _due(begun_ms, put, order.rate))))
                put += 1
            except NotReplayable as error:
                refused.append(LetterRefused(id=str(letter.id), reason=str(error)))
        if chosen and not order.dry_run:
            done = await put_back(context, chosen)
            outcomes.update(done)
            refused += _refused_by_queue(chosen, done)
        more = matched + len(page) > order.limit
        matched = min(matched + len(page), order.limit)
        if more:
            break
    return LettersPutBack(
        dry_run=order.dry_run,
        matched=matched,
        replayed=put if order.dry_run else outcomes[EnqueueOutcome.ENQUEUED],
        duplicates=outcomes[EnqueueOutcome.DUPLICATE],
        refused_count=len(refused),
        refused=refused[:MOST_TOLD],
        queues=dict(queues),
        error_kinds=dict(kinds),
        more=more,
        takes_s=round(max(put - 1, 0) / order.rate, 3) if order.rate else 0.0,
    )


async def _matching(context: ApiContext, order: LettersReplay) -> AsyncIterator[list[DeadLetter]]:
    """The letters that `order` asks for, whatever its limit, the oldest first."""
    queue = None if order.queue is None else named_queue(order.queue).name
    last: DeadLetter | None = None
    while True:
        page = await context.dead_letters.replayable(
            queue=queue, function=order.function, since=order.since, until=order.until, after=last, limit=PAGE
        )
        # An error is JSON that may hold what Postgres can't look into, hence a filter here.
        fitting = [one for one in page if order.error_kind in (None, one.error.kind)]
        if fitting:
            yield fitting
        if len(page) < PAGE:
            return
        last = page[-1]


def _refused_by_queue(
    chosen: Sequence[tuple[DeadLetter, NewJob]], outcomes: Sequence[EnqueueOutcome]
) -> list[LetterRefused]:
    return [
        LetterRefused(id=str(letter.id), reason="its job can't stand in a queue")
        for (letter, _), outcome in zip(chosen, outcomes, strict=True)
        if outcome is EnqueueOutcome.REFUSED
    ]


def _due(begun_ms: float, place: int, rate: float | None) -> int | None:
    return None if rate is None or place == 0 else int(begun_ms + place * 1000 / rate)


def _decoded(letter: DeadLetter, payload: dict[str, Any]) -> tuple[QueuePolicy, JobMessage]:
    policy = policies.find(letter.queue)
    if policy is None:
        raise NotReplayable(f"there is no queue {letter.queue!r} in this version")
    try:
        return policy, jobs.decode(policy, payload, jobs.message_type(policy, letter.function))
    except JobDecodeError as error:
        raise NotReplayable(str(error)) from None
