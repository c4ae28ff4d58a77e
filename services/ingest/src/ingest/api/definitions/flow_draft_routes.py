"""The routes of drafts. A flow has at most one, which every editor of the flow sees."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from filas.contract.storable_text import json_bytes
from filas.models.configuration import FlowDraft
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.problems import ApiProblem, conflict, invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

MAX_BYTES: Final = 2**20

Revision = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class DraftBody(Body, frozen=True, kw_only=True):
    """The draft of a flow.

    `definition` may have errors. `revision` is that of the draft which is replaced, 0 if there was none. `base_version`
    is the published version that the draft changes, 0 if none was published.
    """

    definition: dict[str, Any]
    revision: Revision = 0
    base_version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class DraftQuery(Query, frozen=True, kw_only=True):
    """`revision`: the draft is deleted only if it has this revision."""

    revision: Revision | None = None


class DraftView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The draft of a flow, and who saved it."""

    id: str
    definition: dict[str, Any]
    revision: int
    base_version: int
    saved_by: str
    saved_at: datetime


async def get_flow_draft(call: Call[None, Query]) -> Answer:
    """Returns the draft of a flow."""
    flow_id = existing_id("flow", call.path["id"])
    draft = await call.context.flow_drafts.get(flow_id)
    if draft is None:
        raise not_found("draft of flow", flow_id)
    return Answer(_shown(draft))


async def put_flow_draft(call: Call[DraftBody, Query]) -> Answer:
    """Saves the draft of a flow. Answers 409 if another draft was saved meanwhile."""
    flow_id, body = definition_id(call.path["id"]), call.body
    size = len(json_bytes(body.definition))
    if size > MAX_BYTES:
        raise invalid_field("definition", f"has {size:,} bytes; the limit is {MAX_BYTES:,}")
    drafts = call.context.flow_drafts
    saved = await drafts.save(
        flow_id, body.definition, revision=body.revision, base_version=body.base_version, saved_by=call.audit.who
    )
    if saved is None:
        raise _conflict(await drafts.get(flow_id))
    return Answer(_shown(saved))


async def delete_flow_draft(call: Call[None, DraftQuery]) -> Answer:
    """Deletes the draft of a flow."""
    flow_id, revision = existing_id("flow", call.path["id"]), call.query.revision
    drafts = call.context.flow_drafts

    async def before() -> dict[str, Any] | None:
        draft = await drafts.get(flow_id)
        return None if draft is None else {"revision": draft.revision, "savedBy": draft.saved_by}

    if not await call.audit.change(lambda: drafts.delete(flow_id, revision), before=before):
        found = await drafts.get(flow_id)
        if found is not None and revision is not None:
            raise _conflict(found)
        raise not_found("draft of flow", flow_id)
    return Answer(Deleted(id=flow_id))


def _conflict(found: FlowDraft | None) -> ApiProblem:
    """The 409 that names who saved the other draft, and when."""
    if found is None:
        return conflict("the draft was published or deleted meanwhile: load the flow again")
    at = found.saved_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    detail = f"another draft was saved meanwhile ({found.saved_by}, {at}): load it, or save with its revision"
    return ApiProblem(
        409, "Conflict", detail, revision=found.revision, savedBy=found.saved_by,
        savedAt=msgspec.to_builtins(found.saved_at),
    )  # fmt: skip


def _shown(draft: FlowDraft) -> DraftView:
    return DraftView(
        id=draft.flow_id,
        definition=draft.definition,
        revision=draft.revision,
        base_version=draft.base_version,
        saved_by=draft.saved_by,
        saved_at=draft.saved_at,
    )


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/flows/{id}/draft",
        handler=get_flow_draft,
        role="viewer",
        summary="The draft of a flow: what an editor has saved before it is published.",
        answer=DraftView,
        query=Query,
    ),
    Route(
        method="PUT",
        path="/flows/{id}/draft",
        handler=put_flow_draft,
        role="operator",
        summary="Save the draft of a flow, which may have errors. A 409 names who saved another one meanwhile.",
        answer=DraftView,
        body=DraftBody,
        query=Query,
        unaudited="An editor saves often. The draft itself has who saved it, and its publication is audited.",
        problems=(409,),
    ),
    Route(
        method="DELETE",
        path="/flows/{id}/draft",
        handler=delete_flow_draft,
        role="operator",
        summary="Delete the draft of a flow. Its versions stay.",
        answer=Deleted,
        query=DraftQuery,
        problems=(409,),
    ),
)
