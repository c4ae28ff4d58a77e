"""The route that removes the records of finished jobs: all in one request, or in steps that the client repeats."""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from filas.contract import policies
from filas.contract.policies import QueuePolicy
from filas.errors import InvalidCursor
from filas.queue.operations.finished_job_cleanup import (
    RETENTION_MS,
    START,
    FinishedState,
    clean_step,
    now_ms,
    removed_before_ms,
)
from ingest.api.routing.identifiers import named_queue
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

MAX_AGE_MS: Final = 10 * 365 * 24 * 3600 * 1000
MAX_STEPS: Final = 1000


class CleanBody(Body, frozen=True, kw_only=True):
    """Which records to remove.

    Without `queue` or `state`: all. Without `olderThanMs`: those older than the retention (24 h, or 7 days for failed
    jobs). With `steps`, the answer comes after so many steps of at most 500 records; then the same body with the
    `nextCursor` of the answer as `cursor` continues.
    """

    queue: str | None = None
    state: FinishedState | None = None
    older_than_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_AGE_MS)] | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=MAX_STEPS)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Cleaned(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of records that this request has removed, in total and by queue.

    A queue has one list of records for each state. `doneLists` of `lists` are finished. `nextCursor` is null when all
    are.
    """

    removed: int
    queues: dict[str, int]
    done_lists: int
    lists: int
    next_cursor: str | None


class _Position(msgspec.Struct, frozen=True, array_like=True):
    """Where the next step continues. `started_ms`: jobs that finish after the beginning stay."""

    started_ms: Annotated[int, msgspec.Meta(ge=0, le=10**15)]
    done_lists: Annotated[int, msgspec.Meta(ge=0, le=100)]
    cursor: Annotated[str, msgspec.Meta(pattern=r"^(ring|[0-9]{1,20})$")]


@dataclass(frozen=True, slots=True)
class _List:
    policy: QueuePolicy
    state: FinishedState


async def clean_queues(call: Call[CleanBody, Query]) -> Answer:
    """Removes the records of finished jobs, in each list of records from its beginning to its end."""
    body, redis = call.body, call.context.redis
    chosen = policies.QUEUES if body.queue is None else (named_queue(body.queue),)
    states = list(RETENTION_MS) if body.state is None else [body.state]
    lists = [_List(policy, state) for policy in chosen for state in states]
    position = _Position(await now_ms(redis), 0, START) if body.cursor is None else _position(body.cursor, len(lists))
    removed = {policy.name: 0 for policy in chosen}
    steps = 0
    while position.done_lists < len(lists) and (body.steps is None or steps < body.steps):
        one = lists[position.done_lists]
        before_ms = removed_before_ms(position.started_ms, one.state, body.older_than_ms)
        step = await clean_step(redis, one.policy, one.state, before_ms, position.cursor)
        removed[one.policy.name] += step.removed
        steps += 1
        if step.cursor is None:
            position = _Position(position.started_ms, position.done_lists + 1, START)
        else:
            position = _Position(position.started_ms, position.done_lists, step.cursor)
    is_done = position.done_lists == len(lists)
    return Answer(
        Cleaned(
            removed=sum(removed.values()),
            queues=removed,
            done_lists=position.done_lists,
            lists=len(lists),
            next_cursor=None if is_done else base64.urlsafe_b64encode(msgspec.json.encode(position)).decode(),
        )
    )


def _position(cursor: str, lists: int) -> _Position:
    """Raises InvalidCursor."""
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=_Position)
    except (ValueError, msgspec.MsgspecError):
        position = None
    if position is None or position.done_lists >= lists:
        raise InvalidCursor("the cursor is not one of this clean")
    return position


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/queue/clean",
        handler=clean_queues,
        role="operator",
        summary="Remove the records of finished jobs: completed older than 24 h, failed older than 7 days, or as said.",
        answer=Cleaned,
        body=CleanBody,
        query=Query,
    ),
)
