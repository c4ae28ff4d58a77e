"""The routes that examine a definition and store nothing: its check, and its differences from a version."""

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec

from filas.flows import differences, names_in_scope
from filas.flows.definition import older_builder_import
from filas.flows.differences import Kind
from filas.flows.names_in_scope import NameInScope
from filas.models.configuration import FlowVersion
from ingest.api.definitions.event_fields import known_fields
from ingest.api.definitions.flow_checks import check_definition
from ingest.api.definitions.flow_routes import VersionQuery
from ingest.api.routing.identifiers import definition_id, existing_id
from ingest.api.routing.problems import FieldError, not_found
from ingest.api.routing.route_types import Answer, Call, Query, Route

NOTHING_STORED = "It stores nothing."


class AnyDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of a flow, which may have errors. `PUT /api/flows/{id}` has its fields."""

    name: Any = ""
    settings: Any = msgspec.field(default_factory=dict)
    variables: Any = msgspec.field(default_factory=list)
    nodes: Any = msgspec.field(default_factory=list)
    edges: Any = msgspec.field(default_factory=list)


class CheckQuery(Query, frozen=True, kw_only=True):
    """`nodeId`: only the names in scope at this node."""

    node_id: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class FlowCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The findings of the checks before publishing, and the names that the templates of each node may use.

    `errors` prevent publication. `scopes` has the names by node; without `nodeId`, it has at most 10,000 names, and
    `scopesComplete` is false if nodes were left out.
    """

    errors: list[FieldError]
    warnings: list[FieldError]
    scopes: dict[str, list[NameInScope]]
    scopes_complete: bool


class FlowDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One difference. `part` is `flow`, `node`, `variable` or `edge`, `name` identifies it, and `field` is the place in
    it; it is empty if the whole part was added or removed."""

    kind: Kind
    part: str
    name: str
    field: str
    before: Any = None
    after: Any = None


class FlowDifferences(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The differences between two definitions.

    `before_version` and `after_version` are their versions, null for what is not stored. `moved` are the nodes of which
    only the place in the drawing differs: executions do not change. `equal`: nothing differs.
    """

    before_version: int | None
    after_version: int | None
    equal: bool
    differences: list[FlowDifference]
    moved: list[str]


async def check_flow(call: Call[dict[str, Any], CheckQuery]) -> Answer:
    """Checks a definition as publishing does, and returns its findings."""
    flow_id = definition_id(call.path["id"])
    checked = await check_definition(call.context, flow_id, call.body, uses_are_errors=True)
    body = await known_fields(call.context, flow_id)
    secrets = await call.context.secrets.names()
    only = None if call.query.node_id is None else {call.query.node_id}
    find = partial(names_in_scope.scopes, checked.raw, body=body, secrets=secrets, only=only)
    found = await asyncio.to_thread(find)
    return Answer(
        FlowCheck(
            errors=checked.errors, warnings=checked.warnings, scopes=found.by_node, scopes_complete=found.is_complete
        )
    )


async def compare_flow_versions(call: Call[None, Query]) -> Answer:
    """Returns the differences between two versions of a flow."""
    flow_id = existing_id("flow", call.path["id"])
    before = await _version(call, flow_id, call.path["before"])
    after = await _version(call, flow_id, call.path["after"])
    return await _compared(before.definition, after.definition, before.version, after.version)


async def compare_flow_definition(call: Call[dict[str, Any], VersionQuery]) -> Answer:
    """Returns what a definition would change. A flow without a published version is compared as an empty one."""
    flow_id = definition_id(call.path["id"])
    number = call.query.version
    stored = await call.context.flows.get(flow_id, number)
    if stored is None and number is not None:
        raise not_found("flow", f"{flow_id}, version {number}")
    if stored is not None and number is None and not stored.published:
        stored = None
    before = {} if stored is None else stored.definition
    return await _compared(before, call.body, None if stored is None else stored.version, None)


async def _version(call: Call[Any, Any], flow_id: str, text: str) -> FlowVersion:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    found = await call.context.flows.get(flow_id, number)
    if found is None:
        raise not_found("flow", f"{flow_id}, version {text[:20]}")
    return found


async def _compared(
    before: dict[str, Any], after: dict[str, Any], before_version: int | None, after_version: int | None
) -> Answer:
    def compare() -> FlowDifferences:
        current = older_builder_import.to_current_format(after)
        found = [FlowDifference(**one._asdict()) for one in differences.differences(before, current)]
        return FlowDifferences(
            before_version=before_version,
            after_version=after_version,
            equal=not found,
            differences=[one for one in found if one.field != differences.DRAWING],
            moved=differences.moved(before, current),
        )

    return Answer(await asyncio.to_thread(compare))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/flows/{id}/check",
        handler=check_flow,
        role="operator",
        summary="Check a definition as publishing does, without storing it. Lists the names in scope at each node.",
        answer=FlowCheck,
        body=dict[str, Any],
        documented=AnyDefinition,
        query=CheckQuery,
        unaudited=NOTHING_STORED,
    ),
    Route(
        method="POST",
        path="/flows/{id}/differences",
        handler=compare_flow_definition,
        role="viewer",
        summary="What a definition would change in the published version of the flow, or in the requested one.",
        answer=FlowDifferences,
        body=dict[str, Any],
        documented=AnyDefinition,
        query=VersionQuery,
        unaudited=NOTHING_STORED,
    ),
    Route(
        method="GET",
        path="/flows/{id}/versions/{before}/differences/{after}",
        handler=compare_flow_versions,
        role="viewer",
        summary="The differences between two versions of a flow.",
        answer=FlowDifferences,
        query=Query,
    ),
)
