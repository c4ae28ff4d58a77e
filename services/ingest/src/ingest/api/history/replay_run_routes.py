"""The routes of replay runs: start, list, show, stop, change the rate."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.errors import StoreUnavailable
from filas.models.replay_runs import Rate, ReplayDefinition, ReplayedStatus, ReplayKind, ReplayRun
from filas.observability.logs import get_logger
from ingest.api.history.replay_run_steps import count_matching
from ingest.api.routing.identifiers import named_queue
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import FieldError, conflict, invalid, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route, Word

log = get_logger(__name__)

_FIELDS: Final[dict[ReplayKind, frozenset[str]]] = {
    "dead-letters": frozenset({"queue", "fingerprint"}),
    "executions": frozenset({"flow_id", "error", "contact", "begin", "version"}),
    "events": frozenset({"webhook_id", "status", "reason", "text", "contact", "again"}),
}


class StartReplayBody(Body, frozen=True, kw_only=True):
    """What is replayed and how fast. A row must match all filters; rows that were replayed before are left out.

    `kind` selects the rows: dead letters, executions that failed or timed out, or events. The fields of another kind
    are refused.
    """

    kind: ReplayKind
    queue: Word | None = None
    fingerprint: Word | None = None
    flow_id: Word | None = None
    error: Word | None = None
    contact: Word | None = None
    begin: Annotated[
        Literal["start", "failed-step"], msgspec.Meta(description="As in the replay of one execution.")
    ] = msgspec.field(name="from", default="start")
    version: Annotated[Literal["own", "newest"], msgspec.Meta(description="As in the replay of one execution.")] = "own"
    webhook_id: Word | None = None
    status: ReplayedStatus = "failed"
    reason: Word | None = None
    text: Word | None = None
    again: Annotated[bool, msgspec.Meta(description="Also processed events that were replayed before.")] = False
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="The largest number of rows.")] = 10_000
    rate: Annotated[Rate | None, msgspec.Meta(description="Rows per second. Null: as fast as possible.")] = None
    request_id: Annotated[
        UUID | None,
        msgspec.Meta(description="The id of the run. A repeated call with the same id starts no other."),
    ] = None


class RateBody(Body, frozen=True, kw_only=True):
    """The new rate."""

    rate: Annotated[Rate | None, msgspec.Meta(description="Rows per second. Null: as fast as possible.")]


async def start_replay(call: Call[StartReplayBody, Query]) -> Answer:
    """Starts a replay run, which continues in the background. To see what would match, use `dryRun` of the routes
    that replay many at once."""
    definition = _definition(call.body)
    run_id = call.body.request_id or new_id()
    try:
        expected = await count_matching(call.context, definition)
    except StoreUnavailable as error:
        # The count may take longer than a statement may. The run needs no count.
        log.info("replay_run.uncounted", run_id=str(run_id), reason=error.reason)
        expected = None
    run = await call.context.replay_runs.start(
        run_id, definition, rate=call.body.rate, expected=expected, started_by=call.client.name
    )
    call.context.replay_started.set()
    return Answer(run, done=False)


def _definition(body: StartReplayBody) -> ReplayDefinition:
    """The definition that the body states. Raises the 422 that names the fields of other kinds."""
    own = _FIELDS[body.kind]
    defaults = StartReplayBody(kind=body.kind)
    foreign = [
        name
        for kind, names in _FIELDS.items()
        if kind != body.kind
        for name in sorted(names - own)
        if getattr(body, name) != getattr(defaults, name)
    ]
    wire = {one.name: one.encode_name for one in msgspec.structs.fields(StartReplayBody)}
    if foreign:
        raise invalid([FieldError(field=wire[name], message=f"is not a filter of {body.kind}") for name in foreign])
    names = {one.name for one in msgspec.structs.fields(ReplayDefinition)}
    given = {name: getattr(body, name) for name in names}
    if body.queue is not None:
        given["queue"] = named_queue(body.queue).name
    return ReplayDefinition(**given)


async def list_replays(call: Call[None, PageQuery]) -> Answer:
    """Lists the replay runs, newest first."""
    page = await call.context.replay_runs.list(call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


async def get_replay(call: Call[None, Query]) -> Answer:
    """Returns a replay run with its progress, and how many of its rows have failed again."""
    run = await _existing(call)
    return Answer(msgspec.structs.replace(run, failed_again=await call.context.replay_runs.failed_again(run)))


async def stop_replay(call: Call[None, Query]) -> Answer:
    """Stops a replay run. What it has replayed stays replayed; the chunk that is under way ends."""
    run = await _existing(call)
    stopped = await call.context.replay_runs.end(run.id, "stopped")
    if stopped is None:
        raise conflict(f"the replay does not run: it is {(await _existing(call)).status}")
    return Answer(stopped)


async def set_replay_rate(call: Call[RateBody, Query]) -> Answer:
    """Changes the rate of a replay run. It counts from the next chunk."""
    run = await _existing(call)
    changed = await call.context.replay_runs.set_rate(run.id, call.body.rate)
    if changed is None:
        raise conflict(f"the replay does not run: it is {(await _existing(call)).status}")
    return Answer(changed)


async def _existing(call: Call[Any, Query]) -> ReplayRun:
    run_id = parse_row_id("replay", call.path["id"])
    run = await call.context.replay_runs.get(run_id)
    if run is None:
        raise not_found("replay", run_id)
    return run


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/replays",
        handler=start_replay,
        role="operator",
        summary="Replay all dead letters, executions or events that match, in the background.",
        answer=ReplayRun,
        query=Query,
        body=StartReplayBody,
        may_continue=True,
    ),
    Route(
        method="GET",
        path="/replays",
        handler=list_replays,
        role="viewer",
        summary="The replays that run or ran in the background, newest first.",
        answer=list[ReplayRun],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/replays/{id}",
        handler=get_replay,
        role="viewer",
        summary="One replay with its progress.",
        answer=ReplayRun,
        query=Query,
    ),
    Route(
        method="POST",
        path="/replays/{id}/stop",
        handler=stop_replay,
        role="operator",
        summary="Stop a replay.",
        answer=ReplayRun,
        query=Query,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/replays/{id}/rate",
        handler=set_replay_rate,
        role="operator",
        summary="Change the rate of a replay.",
        answer=ReplayRun,
        query=Query,
        body=RateBody,
        problems=(409,),
    ),
)
