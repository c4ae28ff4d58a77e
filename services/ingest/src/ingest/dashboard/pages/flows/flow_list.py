"""The list of flows: what each did in the last day, what starts it, and its deletion."""

from typing import Final

from ingest.dashboard.page_types import Html, PageAnswer, PageCall

ROWS: Final = 50


async def list_flows(call: PageCall) -> Html:
    """Shows the flows, by id."""
    text = call.query.get("text", "").strip()
    query = {"details": True, "text": text, "limit": ROWS, "cursor": call.query.get("cursor")}
    page = await call.api.part("listFlows", query=query)
    return call.render("flows/list.html", page=page, text=text)


async def ask_to_delete(call: PageCall) -> Html:
    """Shows what uses a flow, and the button that deletes it."""
    flow = (await call.api.call("getFlow", path=call.path)).data
    uses = await call.api.part("getFlowUses", path=call.path)
    return call.render("flows/delete.html", flow=flow, uses=uses)


async def delete_flow(call: PageCall) -> PageAnswer:
    """Deletes a flow with its versions; with `force`, also if something uses it."""
    query = {"force": "true"} if call.form.get("force") else None
    await call.api.call("deleteFlow", path=call.path, query=query)
    return call.done("flows.deleted", "/dashboard/flows", flow=call.path["id"])
