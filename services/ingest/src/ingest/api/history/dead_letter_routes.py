"""The routes of dead letters: list, show, replay, redrive, delete."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
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


class DeleteLettersBody(Body, frozen=True, kw_only=True):
    """Selects dead letters that were not replayed. Without a filter: all. A dead letter must match all filters.
    `since` is inclusive, `until` is exclusive."""

    queue: Word | None = None
    fingerprint: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[
        int, msgspec.Meta(ge=1, le=10_000, description="The largest number of dead letters to delete.")
    ] = 1000
    dry_run: Annotated[bool, msgspec.Meta(description="Only count them.")] = False


class LettersDeleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was deleted together. `deletion` restores it, for seven days; null with `dryRun`."""

    dry_run: bool
    deleted: int
    deletion: str | None


class RestoreLettersBody(Body, frozen=True, kw_only=True):
    """The `deletion` of the answer that deleted them."""

    deletion: UUID


class LettersRestored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many dead letters exist again."""

    restored: int


class LetterRestored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The dead letter that exists again."""

    id: str


async def delete_dead_letter(call: Call[None, Query]) -> Answer:
    """Deletes a dead letter. It can be restored for seven days."""
    letter_id = parse_row_id("dead letter", call.path["id"])
    letters = call.context.dead_letters

    async def before() -> dict[str, Any] | None:
        # Without the payload, which may be personal data: the audit is kept longer than dead letters.
        letter = await letters.get(letter_id)
        return None if letter is None else {name: getattr(letter, name) for name in ("queue", "job_id", "function")}

    if not await call.audit.change(lambda: letters.delete(letter_id), before=before):
        raise not_found("dead letter", letter_id)
    return Answer(Deleted(id=str(letter_id)))


async def restore_dead_letter(call: Call[None, Query]) -> Answer:
    """Restores a deleted dead letter. Nothing changes if it was not deleted."""
    letter_id = parse_row_id("dead letter", call.path["id"])
    call.audit.after = LetterRestored(id=str(letter_id))
    restored = await call.audit.change(lambda: call.context.dead_letters.restore(letter_id))
    if not restored and await call.context.dead_letters.get(letter_id) is None:
        raise not_found("deleted dead letter", letter_id)
    return Answer(call.audit.after)


async def delete_dead_letters(call: Call[DeleteLettersBody, Query]) -> Answer:
    """Deletes all dead letters that match and were not replayed. They can be restored together for seven days."""
    body = call.body
    queue = None if body.queue is None else named_queue(body.queue).name
    wanted: dict[str, Any] = {
        "queue": queue,
        "fingerprint": body.fingerprint,
        "since": body.since,
        "until": body.until,
        "limit": body.limit,
    }
    letters = call.context.dead_letters
    if body.dry_run:
        return Answer(LettersDeleted(dry_run=True, deleted=await letters.count_replayable(**wanted), deletion=None))
    deletion = new_id()
    deleted = await letters.delete_many(deletion, **wanted)
    return Answer(LettersDeleted(dry_run=False, deleted=deleted, deletion=str(deletion)))


async def restore_dead_letters(call: Call[RestoreLettersBody, Query]) -> Answer:
    """Restores what was deleted together."""
    return Answer(LettersRestored(restored=await call.context.dead_letters.restore_deletion(call.body.deletion)))


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
        summary="Delete a dead letter. It can be restored for seven days.",
        answer=Deleted,
        query=Query,
    ),
    Route(
        method="POST",
        path="/dead-letters/{id}/restore",
        handler=restore_dead_letter,
        role="operator",
        summary="Restore a deleted dead letter.",
        answer=LetterRestored,
        query=Query,
    ),
    Route(
        method="POST",
        path="/dead-letters/delete",
        handler=delete_dead_letters,
        role="operator",
        summary="Delete all dead letters that match a filter. They can be restored together for seven days.",
        answer=LettersDeleted,
        query=Query,
        body=DeleteLettersBody,
    ),
    Route(
        method="POST",
        path="/dead-letters/restore",
        handler=restore_dead_letters,
        role="operator",
        summary="Restore the dead letters that were deleted together.",
        answer=LettersRestored,
        query=Query,
        body=RestoreLettersBody,
    ),
)
