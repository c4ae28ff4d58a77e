"""Flows: every PUT stores an immutable version, checked whole before anything is written."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec

from filas.flows import publishing_checks, value_limits
from filas.flows.definition import json_schema, older_builder_import
from filas.flows.definition.flow_definition import Edge, FlowHead, NodeHead
from filas.models.configuration import FlowSummary, FlowVersion
from ingest.api.routing.identifiers import Deleted, known, to_store
from ingest.api.routing.problems import FieldError, absent, invalid, invalid_field
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

SCHEMA = "schema.json"
"""What no flow can be called: the address under `/api/flows` is the schema's."""


class FlowBody(FlowHead, frozen=True, kw_only=True):
    """A flow's definition. What a node's `data` holds depends on its `type`."""

    nodes: Annotated[list[NodeHead], msgspec.Meta(min_length=1, max_length=value_limits.MAX_NODES)]
    edges: Annotated[list[Edge], msgspec.Meta(max_length=value_limits.MAX_EDGES)] = msgspec.field(default_factory=list)


class PublishQuery(Query, frozen=True, kw_only=True):
    """`publish=false` stores the version without making it the one that new executions take."""

    publish: bool = True


class VersionQuery(Query, frozen=True, kw_only=True):
    """`version`: that one instead of the published one."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class FlowView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version of a flow as an answer shows it."""

    id: str
    version: int
    name: str
    published: bool
    definition: dict[str, Any]
    created_at: datetime


def shown(version: FlowVersion) -> FlowView:
    """The version under the flow's `id`, as everything else of the API has one."""
    return FlowView(
        id=version.flow_id,
        version=version.version,
        name=version.name,
        published=version.published,
        definition=version.definition,
        created_at=version.created_at,
    )


async def get_flow_schema(_call: Call[None, Query]) -> Answer:
    """Show the JSON Schema of a definition."""
    return Answer(json_schema.json_schema())


async def put_flow(call: Call[dict[str, Any], PublishQuery]) -> Answer:
    """Check a definition, store it as a new version, and publish it. The older builder's shape is stored in ours."""
    flow_id = to_store(call.path["id"])
    if flow_id == SCHEMA:
        raise invalid_field("id", f"{SCHEMA} is the address of the JSON Schema of flows")
    raw = older_builder_import.converted(call.body)
    # In a thread: a large flow takes a second, and webhooks are answered meanwhile.
    definition, problems = await asyncio.to_thread(publishing_checks.check, raw)
    if definition is None or problems:
        raise invalid(
            [FieldError(node_id=found.node_id, field=found.field or "", message=found.message) for found in problems]
        )
    version = await call.context.flows.store(flow_id, raw, definition.name or flow_id, call.query.publish)
    await call.context.configuration_changed()
    return Answer(shown(version))


async def get_flow(call: Call[None, VersionQuery]) -> Answer:
    """Show a flow: its published version, the newest where none is published, or the one asked for."""
    flow_id = known("flow", call.path["id"])
    version = await call.context.flows.get(flow_id, call.query.version)
    if version is None:
        raise absent("flow", flow_id if call.query.version is None else f"{flow_id}, version {call.query.version}")
    return Answer(shown(version))


async def list_flow_versions(call: Call[None, Query]) -> Answer:
    """List the versions of a flow."""
    flow_id = known("flow", call.path["id"])
    versions = await call.context.flows.versions(flow_id)
    if not versions:
        raise absent("flow", flow_id)
    return Answer([shown(version) for version in versions])


async def delete_flow(call: Call[None, Query]) -> Answer:
    """Remove a flow with its versions, unless executions of it are unfinished."""
    flow_id = known("flow", call.path["id"])
    if not await call.context.flows.delete(flow_id):
        raise absent("flow", flow_id)
    await call.context.configuration_changed()
    return Answer(Deleted(id=flow_id))


async def list_flows(call: Call[None, PageQuery]) -> Answer:
    """List flows by id, without their definitions."""
    page = await call.context.flows.list(call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    # Before the flow of any id: the router takes the first that fits.
    Route(
        method="GET",
        path=f"/flows/{SCHEMA}",
        handler=get_flow_schema,
        role="viewer",
        summary="The JSON Schema of a flow's definition, for editors and for whoever writes flows.",
        answer=dict[str, Any],
        query=Query,
        bare=True,
    ),
    Route(
        method="GET",
        path="/flows",
        handler=list_flows,
        role="viewer",
        summary="The flows, without their definitions.",
        answer=list[FlowSummary],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/flows/{id}",
        handler=put_flow,
        role="operator",
        summary="Check a flow, store it as a new version and publish it. A 422 lists every error with its node.",
        answer=FlowView,
        body=dict[str, Any],
        documented=FlowBody,
        query=PublishQuery,
    ),
    Route(
        method="GET",
        path="/flows/{id}",
        handler=get_flow,
        role="viewer",
        summary="The published version of a flow, or the version asked for.",
        answer=FlowView,
        query=VersionQuery,
    ),
    Route(
        method="DELETE",
        path="/flows/{id}",
        handler=delete_flow,
        role="operator",
        summary="Remove a flow and its versions.",
        answer=Deleted,
        query=Query,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/flows/{id}/versions",
        handler=list_flow_versions,
        role="viewer",
        summary="Every version of a flow.",
        answer=list[FlowView],
        query=Query,
        paged=True,
    ),
)
