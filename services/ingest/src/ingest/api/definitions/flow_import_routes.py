"""The route that converts a flow of another product. It stores nothing."""

import asyncio
from typing import Annotated, Any, Final

import msgspec

from filas.flows.imports.flow_builder import ImportRefused
from filas.flows.imports.import_report import ImportedBlock
from filas.flows.imports.importing import Product, import_flow
from filas.flows.imports.template_text import slug
from ingest.api.definitions.flow_check_routes import NOTHING_STORED
from ingest.api.definitions.flow_checks import check_definition
from ingest.api.routing.identifiers import definition_id
from ingest.api.routing.problems import FieldError, invalid_field
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

DEFAULT_ID: Final = "imported"


class FlowImportBody(Body, frozen=True, kw_only=True):
    """What another product exported."""

    product: Annotated[Product, msgspec.Meta(description="The product that exported it.")] = msgspec.field(name="from")
    document: Annotated[dict[str, Any], msgspec.Meta(description="The exported JSON.")]
    flow_id: Annotated[
        str | None, msgspec.Meta(description="The id that the flow will have, by default made of its name.")
    ] = None


class FlowImportView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The definition, and the result for each block. `errors` are uses of flows, channels and secrets that are not
    stored: the flow can be stored, and is published with `force=true` or after they are stored."""

    flow_id: str
    definition: dict[str, Any]
    blocks: list[ImportedBlock]
    errors: list[FieldError]
    warnings: list[FieldError]


async def import_definition(call: Call[FlowImportBody, Query]) -> Answer:
    """Converts a document of another product to a flow that can be published, with a report on each block."""
    body = call.body
    try:
        # In a thread, because a large document takes a second and would block the event loop.
        found = await asyncio.to_thread(import_flow, body.product, body.document)
    except ImportRefused as error:
        raise invalid_field("document", str(error)) from None
    flow_id = definition_id(body.flow_id or slug(found.definition["name"], most=60) or DEFAULT_ID)
    checked = await check_definition(call.context, flow_id, found.definition, uses_are_errors=True)
    return Answer(
        FlowImportView(
            flow_id=flow_id,
            definition=found.definition,
            blocks=found.blocks,
            errors=checked.errors,
            warnings=checked.warnings,
        )
    )


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/flows/import",
        handler=import_definition,
        role="operator",
        summary="Convert a flow of another product, without storing it. Reports the result for each block.",
        answer=FlowImportView,
        body=FlowImportBody,
        query=Query,
        unaudited=NOTHING_STORED,
    ),
)
