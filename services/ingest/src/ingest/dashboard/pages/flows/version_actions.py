"""Publishing an earlier version of a flow again."""

from urllib.parse import quote

from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall
from ingest.dashboard.presentation.copies import Copies, copies


async def ask_to_roll_back(call: PageCall) -> Html:
    """Shows what changes when a version is published again, and the button that does so."""
    flow_id, number = call.path["id"], call.path["version"]
    wanted = (await call.api.call("getFlow", path={"id": flow_id}, query={"version": number})).data
    present = (await call.api.call("getFlow", path={"id": flow_id})).data
    path = {"id": flow_id, "before": str(present.version), "after": str(wanted.version)}
    compared = await call.api.part("compareFlowVersions", path=path)
    return call.render(
        "flows/roll_back.html",
        wanted=wanted,
        present=present,
        compared=compared,
        commands=_commands(wanted.id, wanted.version),
    )


def _commands(flow_id: str, version: int) -> Copies:
    """The two calls of a roll-back in one line, because a definition is too long for the command itself."""
    shown = copies("flows rollback", "GET", f"/flows/{flow_id}", query={"version": str(version)})
    stored = copies("flows rollback", "PUT", f"/flows/{flow_id}", arguments=(flow_id, str(version)))
    curl = f"{shown.curl} | jq .data.definition | {stored.curl} -H 'Content-Type: application/json' -d @-"
    return Copies(curl=curl, filas=stored.filas)


async def roll_back(call: PageCall) -> PageAnswer:
    """Publishes the definition of a version again, as a new version, unless another one was published meanwhile."""
    call.api.require("putFlow")
    flow_id, number = call.path["id"], call.path["version"]
    wanted = (await call.api.call("getFlow", path={"id": flow_id}, query={"version": number})).data
    query = {"ifVersion": call.form.get("present"), "force": "true" if call.form.get("force") else None}
    try:
        stored = (await call.api.call("putFlow", path={"id": flow_id}, query=query, body=wanted.definition)).data
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return call.render("flows/refused_roll_back.html", status=422, wanted=wanted, problem=problem)
    location = f"/dashboard/flows/{quote(flow_id, safe='')}?tab=versions"
    return call.done("flows.rolled-back", location, version=stored.version, equal=wanted.version)
