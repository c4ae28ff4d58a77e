"""The pages of replays in the background: all of them, and one with its progress."""

from collections.abc import Mapping

from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, Live, PageCall, PageRoute, Redirect

LIST = "/dashboard/replays"


async def show_list(call: PageCall) -> Html:
    """Shows the replays, newest first."""
    return call.render("replays/list.html", runs=await call.api.part("listReplays", query=call.filters("cursor")))


async def show_replay(call: PageCall) -> Html:
    """Shows what a replay has done, at which rate it continues, and what it could not replay."""
    run = (await call.api.call("getReplay", path={"id": call.path["id"]})).data
    return call.render("replays/replay.html", run=run)


async def stop(call: PageCall) -> Redirect:
    """Stops a replay. What it has replayed stays replayed."""
    await call.api.call("stopReplay", path={"id": call.path["id"]})
    return call.done("replays.stopped", f"{LIST}/{call.path['id']}")


async def set_rate(call: PageCall) -> Redirect:
    """Changes the rate of a replay. An empty field: as fast as possible."""
    body = {"rate": None, **number_field(call, call.form, "rate")}
    await call.api.call("setReplayRate", path={"id": call.path["id"]}, body=body)
    return call.done("replays.rate-changed", f"{LIST}/{call.path['id']}")


def number_field(call: PageCall, given: Mapping[str, str], name: str) -> dict[str, float]:
    """Returns a number that was typed, for the body of a call; nothing if the field is empty.

    A comma is a decimal point, as the reader may write it. Raises the 422 for another text.
    """
    text = given.get(name, "").strip()
    if not text:
        return {}
    try:
        return {name: float(text.replace(",", "."))}
    except ValueError:
        raise ApiProblem(422, "Invalid", call.reader.text("replays.no-number", text=text[:50])) from None


ROUTES = (
    PageRoute("GET", "/replays", show_list, Live()),
    PageRoute("GET", "/replays/{id}", show_replay, Live()),
    PageRoute("POST", "/replays/{id}/stop", stop),
    PageRoute("POST", "/replays/{id}/rate", set_rate),
)
