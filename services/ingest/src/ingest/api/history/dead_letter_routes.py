"""The routes of dead letters: list, show, replay, redrive, delete."""

from typing import Annotated, Any

import msgspec

from filas.models.dead_letters import DeadLetter
from filas.models.failure_groups import FailureGroup
from filas.queue.producer import EnqueueOutcome
from ingest.api.history.redrive import (
    JOB_REFUSED,
    NotReplayable,
    RedriveBody,
    RedriveResult,
    edited_replay_job,
    enqueue_replays,
    redrive,
    replay_job,
    replay_number,
)
from ingest.api.routing.identifiers import Deleted, named_queue
from ingest.api.routing.moments import Moment, searched_time
from ingest.api.routing.problems import conflict, invalid_field, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route, Word


class DeadLettersQuery(PageQuery, frozen=True, kw_only=True):
    """`queue` selects the dead letters of one queue, by its full or short name; `fingerprint` those with that error."""

    queue: Word | None = None
    fingerprint: Word | None = None


class DeadLetterGroupsQuery(Query, frozen=True, kw_only=True):
    """The searched time, by default the last 24 hours, and a queue. `since` is inclusive, `until` is exclusive."""

    queue: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class ReplayLetterBody(Body, frozen=True, kw_only=True):
    """How a dead letter is replayed."""

    payload: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="Replaces the job message. Its ids must be those of the dead letter's job."),
    ] = None


class LetterReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The enqueued job. `duplicate`: it was in its queue already."""

    id: str
    replay: int
    job_id: str
    duplicate: bool


async def list_dead_letters(call: Call[None, DeadLettersQuery]) -> Answer:
    """Lists dead letters, newest first."""
    queue = None if call.query.queue is None else named_queue(call.query.queue).name
    letters = call.context.history.dead_letters
    page = await letters.list(queue, call.query.fingerprint, cursor=call.query.cursor, limit=call.query.limit)
    return Answer(page.items, page.next_cursor)


async def list_dead_letter_groups(call: Call[None, DeadLetterGroupsQuery]) -> Answer:
    """Counts the dead letters that were not replayed by queue and fingerprint, the largest groups first."""
    queue = None if call.query.queue is None else named_queue(call.query.queue).name
    since, until = searched_time(call.query.since, call.query.until)
    return Answer(await call.context.history.failures.dead_letters(since, until, queue))


async def get_dead_letter(call: Call[None, Query]) -> Answer:
    """Returns a dead letter with payload, error and history."""
    return Answer(await _letter(call))


async def delete_dead_letter(call: Call[None, Query]) -> Answer:
    """Deletes a dead letter."""
    letter_id = parse_row_id("dead letter", call.path["id"])
    letters = call.context.dead_letters

    async def before() -> dict[str, Any] | None:
        # Without the payload, which may be personal data: the audit is kept longer than dead letters.
        letter = await letters.get(letter_id)
        return None if letter is None else {name: getattr(letter, name) for name in ("queue", "job_id", "function")}

    if not await call.audit.change(lambda: letters.delete(letter_id), before=before):
        raise not_found("dead letter", letter_id)
    return Answer(Deleted(id=str(letter_id)))


async def replay_dead_letter(call: Call[ReplayLetterBody, Query]) -> Answer:
    """Enqueues the job of a dead letter under the key of its next replay, with another job message if one is given.

    Enqueues first and marks the dead letter afterwards: if marking fails, a second call finds the job and marks it.
    """
    letter = await _letter(call)
    if letter.replayed_at is not None:
        raise conflict(
            f"the dead letter was replayed as {letter.replayed_job_id}; if that job fails, it is another dead letter"
        )
    edited = call.body.payload
    try:
        if edited is None:
            job = await replay_job(letter, call.context.webhooks)
        else:
            job = edited_replay_job(letter, edited)
    except NotReplayable as error:
        raise (conflict(str(error)) if edited is None else invalid_field("payload", str(error))) from None
    (outcome,) = await enqueue_replays(call.context, [(letter, job)])
    if outcome is EnqueueOutcome.REFUSED:
        raise conflict(JOB_REFUSED)
    return Answer(
        LetterReplayed(
            id=str(letter.id),
            replay=replay_number(job),
            job_id=job.job_id,
            duplicate=outcome is EnqueueOutcome.DUPLICATE,
        )
    )


async def replay_dead_letters(call: Call[RedriveBody, Query]) -> Answer:
    """Replays all dead letters that match and have not been replayed, oldest first."""
    return Answer(await redrive(call.context, call.body))


async def _letter(call: Call[Any, Query]) -> DeadLetter:
    letter_id = parse_row_id("dead letter", call.path["id"])
    letter = await call.context.dead_letters.get(letter_id)
    if letter is None:
        raise not_found("dead letter", letter_id)
    return letter


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/dead-letters",
        handler=list_dead_letters,
        role="viewer",
        summary="Dead letters, newest first.",
        answer=list[DeadLetter],
        query=DeadLettersQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/dead-letters/groups",
        handler=list_dead_letter_groups,
        role="viewer",
        summary="Dead letters that were not replayed, counted by queue and error.",
        answer=list[FailureGroup],
        query=DeadLetterGroupsQuery,
    ),
    Route(
        method="GET",
        path="/dead-letters/{id}",
        handler=get_dead_letter,
        role="viewer",
        summary="One dead letter with payload, error and history.",
        answer=DeadLetter,
        query=Query,
    ),
    Route(
        method="POST",
        path="/dead-letters/{id}/replay",
        handler=replay_dead_letter,
        role="operator",
        summary="Replay one dead letter.",
        answer=LetterReplayed,
        query=Query,
        body=ReplayLetterBody,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/dead-letters/replay",
        handler=replay_dead_letters,
        role="operator",
        summary="Replay all dead letters that match a filter, oldest first, at a rate.",
        answer=RedriveResult,
        query=Query,
        body=RedriveBody,
    ),
    Route(
        method="DELETE",
        path="/dead-letters/{id}",
        handler=delete_dead_letter,
        role="operator",
        summary="Delete a dead letter.",
        answer=Deleted,
        query=Query,
    ),
)
