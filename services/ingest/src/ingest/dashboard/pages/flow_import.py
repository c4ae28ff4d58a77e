"""The import from another product: the form, the report on each block, and what to do with the flow."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from filas.contract.storable_text import json_bytes
from filas.flows.imports.importing import PRODUCTS
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, PageRoute
from ingest.dashboard.pages.new_flow import taken_ids, unused_id

STATUSES: Final = ("left-out", "changed", "carried")
"""The groups of the report: what needs attention first."""


async def show_import(call: PageCall) -> Html:
    """Shows the form. `from` in the address selects the product."""
    return _form(call, call.query.get("from", ""), "")


async def convert(call: PageCall) -> Html:
    """Converts the document of the form, and shows the report. A document that is refused is shown again."""
    product, text = call.form.get("from", ""), call.form.get("document", "").strip()
    try:
        body = b'{"from":' + json_bytes(product) + b',"document":' + (text.encode() or b"null") + b"}"
        found = (await call.api.call("importDefinition", body=body)).data
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        return _form(call, product, text, problem)
    definition = json_bytes(found.definition).decode()
    flow_id = unused_id(found.flow_id, await taken_ids(call))
    return _report(call, {"product": product, "flow_id": flow_id, "definition": definition}, found)


async def store(call: PageCall) -> PageAnswer:
    """Publishes the flow, or saves it as a draft and opens it in the editor."""
    flow_id, definition = call.form.get("id", "").strip(), call.form.get("definition", "")
    path = {"id": flow_id}
    try:
        await _check_unused(call, flow_id)
        if "publish" in call.form:
            query = {"force": "true"} if call.form.get("force") else None
            answer = await call.api.call("putFlow", path=path, query=query, body=definition.encode())
            return call.done("flow-import.published", _editor(flow_id), version=answer.data.version)
        await call.api.call("putFlowDraft", path=path, body=_draft(definition))
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        values = {"flow_id": flow_id, "definition": definition, "product": call.form.get("product", "")}
        return _report(call, values, None, problem)
    return call.done("flow-import.opened", _editor(flow_id))


async def _check_unused(call: PageCall, flow_id: str) -> None:
    """Raises ApiProblem if there is a flow with this id: the import must not replace it."""
    if await call.api.exists("getFlow", flow_id):
        raise ApiProblem(409, "Conflict", f"there is a flow {flow_id!r} already: choose another id")


def _draft(definition: str) -> bytes:
    return b'{"definition":' + (definition.encode() or b"null") + b"}"


def _editor(flow_id: str) -> str:
    return f"/dashboard/flows/{quote(flow_id, safe='')}/edit"


def _form(call: PageCall, product: str, text: str, problem: ApiProblem | None = None) -> Html:
    return call.render(
        "flows/import.html",
        status=200 if problem is None else problem.status,
        products=[(name, call.reader.text(f"flow-import.product-{name}")) for name in PRODUCTS],
        product=product if product in PRODUCTS else PRODUCTS[0],
        document=text,
        problem=problem,
    )


def _report(call: PageCall, values: Mapping[str, Any], found: Any, problem: ApiProblem | None = None) -> Html:
    blocks = [] if found is None else found.blocks
    given: dict[str, Any] = dict(values)
    groups = [(status, [block for block in blocks if block.status == status]) for status in STATUSES]
    return call.render(
        "flows/imported.html",
        status=200 if problem is None else problem.status,
        **given,
        flow_name=_name_of(values["definition"]),
        groups=[(status, members) for status, members in groups if members],
        counts={status: len(members) for status, members in groups},
        errors=[] if found is None else found.errors,
        problem=problem,
        problem_errors=problem.extra.get("errors", [])[:20] if problem is not None else [],
        note_text=lambda note: call.reader.text(f"import-notes.{note.code}", **note.parameters),
    )


def _name_of(definition: str) -> str:
    try:
        name = json.loads(definition).get("name")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


ROUTES: Final = (
    PageRoute("GET", "/flows/import", show_import),
    PageRoute("POST", "/flows/import", convert),
    PageRoute("POST", "/flows/import/store", store),
)
