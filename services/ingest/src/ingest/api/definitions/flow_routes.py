"""The routes of flows. Every PUT checks the whole definition, then stores an immutable version."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from filas.flows import value_limits
from filas.flows.definition import json_schema
from filas.flows.definition.flow_definition import Edge, FlowHead, NodeHead
from filas.models.configuration import FlowVersion
from ingest.api.definitions.flow_checks import check_definition, field_errors
from ingest.api.definitions.flow_test_runs import TestedFlow
from ingest.api.definitions.flow_uses import unknown_uses
from ingest.api.definitions.references import DeleteQuery, delete_unused
from ingest.api.definitions.saved_test_runs import SavedTestResult, refuse_failed, run_tests
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.problems import ApiProblem, FieldError, conflict, invalid, invalid_field, not_found
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

SCHEMA = "schema.json"
"""No flow can have this id: the path is that of the JSON Schema."""


class FlowBody(FlowHead, frozen=True, kw_only=True):
    """The definition of a flow. The fields of a node's `data` depend on its `type`."""

    nodes: Annotated[list[NodeHead], msgspec.Meta(min_length=1, max_length=value_limits.MAX_NODES)]
    edges: Annotated[list[Edge], msgspec.Meta(max_length=value_limits.MAX_EDGES)] = msgspec.field(default_factory=list)


class PublishQuery(Query, frozen=True, kw_only=True):
    """`publish=false` stores the version without publishing it. `force=true` publishes a flow that uses a flow, a
    channel or a secret which is not stored. In both cases such a use is in `warnings`. `ifVersion` is the number of the
    published version that the definition is based on (0: no version is published): if another one is published, the
    answer is 409. `draftRevision`: the draft of this revision is deleted.
    `skipTests=true`: the saved tests of the flow are not run before it is published."""

    publish: bool = True
    force: bool = False
    if_version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    skip_tests: bool = False
    draft_revision: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None


class VersionQuery(Query, frozen=True, kw_only=True):
    """`version` selects a version instead of the published one."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class FlowView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a flow, as an answer shows it."""

    id: str
    version: int
    name: str
    published: bool
    definition: dict[str, Any]
    created_at: datetime
    created_by: str | None = None


class StoredFlow(FlowView, frozen=True, kw_only=True):
    """A version that was stored. `warnings` are the findings of the checks that do not prevent publication, `tests` how
    the saved tests of the flow ended."""

    warnings: list[FieldError] = msgspec.field(default_factory=list)
    tests: list[SavedTestResult] = msgspec.field(default_factory=list)


def shown(version: FlowVersion) -> FlowView:
    """Returns the version as an answer shows it: `id` is the id of the flow."""
    return FlowView(
        id=version.flow_id,
        version=version.version,
        name=version.name,
        published=version.published,
        definition=version.definition,
        created_at=version.created_at,
        created_by=version.created_by,
    )


async def get_flow_schema(_call: Call[None, Query]) -> Answer:
    """Returns the JSON Schema of a definition."""
    return Answer(json_schema.json_schema())


async def put_flow(call: Call[dict[str, Any], PublishQuery]) -> Answer:
    """Checks a definition, stores it as a new version, and publishes it. Converts the format of the older builder."""
    flow_id = definition_id(call.path["id"])
    if flow_id == SCHEMA:
        raise invalid_field("id", f"{SCHEMA} is reserved for the JSON Schema of flows")
    context = call.context
    is_doubtful = call.query.force or not call.query.publish
    checked = await check_definition(context, flow_id, call.body, uses_are_errors=not is_doubtful)
    raw, definition, errors, warnings = checked
    if definition is None or errors:
        raise invalid(errors)
    valid, name = definition, definition.name or flow_id
    tests: list[SavedTestResult] = []
    if call.query.publish and not call.query.skip_tests:
        cases = await context.flow_tests.list(flow_id)
        tests = await run_tests(context, TestedFlow(flow_id, None, raw, valid), cases)
        refuse_failed(tests)

    async def store() -> FlowVersion:
        if call.query.if_version is not None:
            await _check_published(call, flow_id, call.query.if_version)
        if not is_doubtful:  # nothing that it uses is deleted before it is stored
            await context.references.lock()
            unknown = await unknown_uses(flow_id, valid, context.flows, context.channels, context.secrets)
            if unknown:
                raise invalid(field_errors(unknown, "error"))
        stored = await context.flows.store(flow_id, raw, name, call.query.publish, call.audit.who)
        if call.query.draft_revision is not None:
            await context.flow_drafts.delete(flow_id, call.query.draft_revision)
        return stored

    version = await call.audit.change(store, before=lambda: _before(call, flow_id), after=_summary)
    await call.context.configuration_changed()
    return Answer(StoredFlow(**msgspec.structs.asdict(shown(version)), warnings=warnings, tests=tests))


async def _before(call: Call[Any, Any], flow_id: str) -> dict[str, Any] | None:
    version = await call.context.flows.get(flow_id)
    return None if version is None else _summary(version)


async def _check_published(call: Call[Any, Any], flow_id: str, expected: int) -> None:
    """Raises the 409 if another version than `expected` is published. It names that version."""
    found = await call.context.flows.get(flow_id)
    published = found if found is not None and found.published else None
    if (published.version if published else 0) == expected:
        return
    if published is None:
        raise conflict(f"no version of flow {flow_id!r} is published: the definition is based on version {expected}")
    base = f"version {expected}" if expected else "no version"
    at = published.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    detail = (
        f"version {published.version} was published meanwhile ({published.created_by or 'unknown'}, {at}), and the "
        f"definition is based on {base}: compare the two, then publish with ifVersion={published.version}"
    )
    raise ApiProblem(
        409, "Conflict", detail, version=published.version, createdBy=published.created_by,
        createdAt=msgspec.to_builtins(published.created_at),
    )  # fmt: skip


def _summary(version: FlowVersion) -> dict[str, Any]:
    """What the audit stores of a version: its definition never changes, and stays readable by the number."""
    return {"version": version.version, "name": version.name, "published": version.published}


async def get_flow(call: Call[None, VersionQuery]) -> Answer:
    """Returns a version of a flow: the requested one, else the published one, else the newest."""
    flow_id = existing_id("flow", call.path["id"])
    version = await call.context.flows.get(flow_id, call.query.version)
    if version is None:
        raise not_found("flow", flow_id if call.query.version is None else f"{flow_id}, version {call.query.version}")
    return Answer(shown(version))


async def list_flow_versions(call: Call[None, PageQuery]) -> Answer:
    """Lists the versions of a flow, newest first."""
    flow_id = existing_id("flow", call.path["id"])
    page = await call.context.flows.versions(flow_id, call.query.cursor, call.query.limit)
    if not page.items and call.query.cursor is None:
        raise not_found("flow", flow_id)
    return Answer([shown(version) for version in page.items], page.next_cursor)


async def delete_flow(call: Call[None, DeleteQuery]) -> Answer:
    """Deletes a flow with its versions. Answers 409 while it has unfinished executions, and while a webhook, a schedule
    or another flow refers to it."""
    flow_id = existing_id("flow", call.path["id"])
    flows = call.context.flows

    async def before() -> FlowView | None:
        # Its versions are deleted too, so the audit keeps the one that was in use.
        version = await flows.get(flow_id)
        return None if version is None else shown(version)

    async def delete() -> bool:
        return await delete_unused(call.context, "flow", flow_id, lambda: flows.delete(flow_id), force=call.query.force)

    if not await call.audit.change(delete, before=before):
        raise not_found("flow", flow_id)
    await call.context.configuration_changed()
    return Answer(Deleted(id=flow_id))


ROUTES: tuple[Route[Any, Any], ...] = (
    # Before `/flows/{id}`: the router uses the first route that matches.
    Route(
        method="GET",
        path=f"/flows/{SCHEMA}",
        handler=get_flow_schema,
        role="viewer",
        summary="The JSON Schema of a flow's definition, for editors.",
        answer=dict[str, Any],
        query=Query,
        bare=True,
    ),
    Route(
        method="PUT",
        path="/flows/{id}",
        handler=put_flow,
        role="operator",
        summary="Check a flow, store it as a new version and publish it. A 422 lists every error with its node.",
        answer=StoredFlow,
        body=dict[str, Any],
        documented=FlowBody,
        query=PublishQuery,
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/flows/{id}",
        handler=get_flow,
        role="viewer",
        summary="The published version of a flow, or the requested one.",
        answer=FlowView,
        query=VersionQuery,
    ),
    Route(
        method="DELETE",
        path="/flows/{id}",
        handler=delete_flow,
        role="operator",
        summary="Delete a flow and its versions, unless other definitions refer to it.",
        answer=Deleted,
        query=DeleteQuery,
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/flows/{id}/versions",
        handler=list_flow_versions,
        role="viewer",
        summary="The versions of a flow, newest first.",
        answer=list[FlowView],
        query=PageQuery,
        paged=True,
    ),
)
