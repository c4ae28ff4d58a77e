"""Dead letters: jobs that could not succeed, looked at, put back, removed."""

from typing import Annotated, Any

import msgspec

from filas.models.dead_letters import DeadLetter
from filas.queue.producer import EnqueueOutcome
from ingest.api.history.redrive import (
    LettersPutBack,
    LettersReplay,
    NotReplayable,
    edited_job_of,
    job_of,
    put_back,
    replay_many,
    replay_number,
)
from ingest.api.routing.identifiers import Deleted, named_queue
from ingest.api.routing.problems import absent, conflict, invalid_field, row_id
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route, Word


class DeadLettersQuery(PageQuery, frozen=True, kw_only=True):
    """`queue`: only those of that queue, by its full or its short name."""

    queue: Word | None = None


class EditedLetter(Body, frozen=True, kw_only=True):
    """How a letter's job is put back."""

    payload: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="Its message, changed where that was wrong; it must be about the same row."),
    ] = None


class LetterReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that was put back. `duplicate`: it stood in its queue already."""

    id: str
    replay: int
    job_id: str
    duplicate: bool


async def list_dead_letters(call: Call[None, DeadLettersQuery]) -> Answer:
    """List dead letters, the newest first."""
    queue = None if call.query.queue is None else named_queue(call.query.queue).name
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


async def replay_dead_letter(call: Call[EditedLetter, Query]) -> Answer:
    """Put a dead letter's job back under the key of its next replay, with another message if one is given.

    Put first and marked then: when the mark fails, a second call finds the job there and marks it.
    """
    letter = await _letter(call)
    if letter.replayed_at is not None:
        raise conflict(f"it was put back already, as {letter.replayed_job_id}; had that failed, it would be a new one")
    edited = call.body.payload
    try:
        job = job_of(letter) if edited is None else edited_job_of(letter, edited)
    except NotReplayable as error:
        raise (conflict(str(error)) if edited is None else invalid_field("payload", str(error))) from None
    (outcome,) = await put_back(call.context, [(letter, job)])
    if outcome is EnqueueOutcome.REFUSED:
        raise conflict("its job can't stand in a queue")
    return Answer(
        LetterReplayed(
            id=str(letter.id),
            replay=replay_number(job),
            job_id=job.job_id,
            duplicate=outcome is EnqueueOutcome.DUPLICATE,
        )
    )


async def replay_dead_letters(call: Call[LettersReplay, Query]) -> Answer:
    """Put back the jobs of all letters that match and have not been put back, the oldest first."""
    return Answer(await replay_many(call.context, call.body))


async def _letter(call: Call[Any, Query]) -> DeadLetter:
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
        body=EditedLetter,
        refusals=(409,),
    ),
    Route(
        method="POST",
        path="/dead-letters/replay",
        handler=replay_dead_letters,
        role="operator",
        summary="Put back the jobs of all letters that match, the oldest first, at a rate.",
        answer=LettersPutBack,
        query=Query,
        body=LettersReplay,
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
