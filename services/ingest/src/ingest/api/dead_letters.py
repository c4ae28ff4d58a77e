"""Dead letters: jobs that could not succeed, looked at, put back, removed."""

from typing import Any

import msgspec

from filas import jobs, policies
from filas.errors import JobDecodeError
from filas.jobs import WebhookJob
from filas.models import DeadLetter
from filas.queue.producer import EnqueueOutcome, NewJob
from ingest.api.identifiers import Deleted
from ingest.api.queues import found_policy
from ingest.api.refusals import absent, conflict, row_id
from ingest.api.table import Answer, Call, PageQuery, Query, Route, Word


class DeadLettersQuery(PageQuery, frozen=True, kw_only=True):
    """`queue`: only those of that queue, by its full or its short name."""

    queue: Word | None = None


class LetterReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that was put back. `duplicate`: it stood in its queue already."""

    id: str
    replay: int
    job_id: str
    duplicate: bool


async def list_dead_letters(call: Call[None, DeadLettersQuery]) -> Answer:
    """List dead letters, the newest first."""
    queue = None if call.query.queue is None else found_policy(call.query.queue).name
    page = await call.context.dead_letters.list(queue, call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


async def get_dead_letter(call: Call[None, Query]) -> Answer:
    """Show a dead letter whole."""
    return Answer(await _letter(call))


async def delete_dead_letter(call: Call[None, Query]) -> Answer:
    """Remove a dead letter for good."""
    letter_id = row_id("dead letter", call.path["id"])
    if not await call.context.dead_letters.delete(letter_id):
        raise absent("dead letter", letter_id)
    return Answer(Deleted(id=str(letter_id)))


async def replay_dead_letter(call: Call[None, Query]) -> Answer:
    """Put a dead letter's job back under the key of its next replay.

    Put first and marked then: when the mark fails, a second call finds the job there and marks it.
    """
    letter = await _letter(call)
    if letter.replayed_at is not None:
        raise conflict(f"it was put back already, as {letter.replayed_job_id}; had that failed, it would be a new one")
    policy = policies.find(letter.queue)
    if policy is None or letter.payload is None:
        raise conflict("its payload is not a job of this version, so there is nothing to put back")
    try:
        message = jobs.decode(policy, letter.payload, jobs.message_type(policy, letter.function))
    except JobDecodeError as error:
        raise conflict(str(error)) from None
    message = msgspec.structs.replace(message, replay=message.replay + 1)
    if isinstance(message, WebhookJob):
        await call.context.events.reopen(message.event_id)
    function = letter.function if letter.function in jobs.OTHER_FUNCTIONS else None
    job = NewJob(policy, jobs.job_key(message), message, group=letter.group_key, function=function)
    result = await call.context.producer.enqueue(job)
    await call.context.dead_letters.mark_replayed(letter.id, result.job_id)
    return Answer(
        LetterReplayed(
            id=str(letter.id),
            replay=message.replay,
            job_id=result.job_id,
            duplicate=result.outcome is EnqueueOutcome.DUPLICATE,
        )
    )


async def _letter(call: Call[None, Query]) -> DeadLetter:
    letter_id = row_id("dead letter", call.path["id"])
    letter = await call.context.dead_letters.get(letter_id)
    if letter is None:
        raise absent("dead letter", letter_id)
    return letter


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/dead-letters",
        handler=list_dead_letters,
        role="viewer",
        summary="Jobs that could not succeed, the newest first.",
        answer=list[DeadLetter],
        query=DeadLettersQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/dead-letters/{id}",
        handler=get_dead_letter,
        role="viewer",
        summary="One dead letter whole: payload, error and history.",
        answer=DeadLetter,
        query=Query,
    ),
    Route(
        method="POST",
        path="/dead-letters/{id}/replay",
        handler=replay_dead_letter,
        role="operator",
        summary="Put the job back into its queue.",
        answer=LetterReplayed,
        query=Query,
        refusals=(409,),
    ),
    Route(
        method="DELETE",
        path="/dead-letters/{id}",
        handler=delete_dead_letter,
        role="operator",
        summary="Remove a dead letter for good.",
        answer=Deleted,
        query=Query,
    ),
)
