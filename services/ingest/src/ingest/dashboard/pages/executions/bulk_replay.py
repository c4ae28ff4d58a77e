"""The replay of all executions that match a filter: first what it would do, then the replay."""

import math
from typing import Any, Final

from filas.contract.identity import new_id
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall
from ingest.dashboard.pages.executions.cli_arguments import cli_arguments
from ingest.dashboard.pages.executions.execution_filters import OF_MANY, filters_of

OPTIONS: Final = ("from", "version", "limit", "rate")


async def check_replay(call: PageCall) -> Html:
    """Shows what a replay with the filters and options of the query string would do. It changes nothing."""
    order, result, problem = {**filters_of(call, OF_MANY), **_options(call.query)}, None, None
    try:
        answer = await call.api.call("replayExecutions", body={**order, "dryRun": True})
        result = answer.data
    except ApiProblem as error:
        if error.status == 403:
            raise
        problem = error
    return call.render(
        "executions/bulk_replay.html",
        order=order,
        result=result,
        problem=problem,
        request=new_id(),
        run_order={"kind": "executions", **order},
        cli_arguments=cli_arguments(order),
    )


async def replay_all(call: PageCall) -> PageAnswer:
    """Starts the replay of what was checked, and shows its progress."""
    order = {name: call.form[name] for name in OF_MANY if call.form.get(name)} | _options(call.form)
    if call.form.get("request"):
        order["requestId"] = call.form["request"]
    answer = await call.api.call("startReplay", body={"kind": "executions", **order})
    return call.done("executions.bulk-started", f"/dashboard/replays/{answer.data.id}")


def _options(given: Any) -> dict[str, Any]:
    """The options that have a value. What is no number is passed on: the API explains what is wrong."""
    options: dict[str, Any] = {name: given[name] for name in OPTIONS if given.get(name)}
    for name, kind in (("limit", int), ("rate", float)):
        try:
            number = kind(options[name]) if name in options else 0
        except ValueError:
            continue
        if number and math.isfinite(number):
            options[name] = number
    return options
