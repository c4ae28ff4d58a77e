"""The replay of all executions that match a filter: first what it would do, then the replay."""

from typing import Any, Final

from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall
from ingest.dashboard.pages.executions import time_filters
from ingest.dashboard.pages.executions.cli_arguments import cli_arguments
from ingest.dashboard.pages.executions.execution_filters import OF_MANY, body_of_many

OPTIONS: Final = ("from", "version", "limit", "rate")


async def check_replay(call: PageCall) -> Html:
    """Shows what a replay with the filters and options of the query string would do. It changes nothing."""
    order, result, problem = {**body_of_many(call), **_options(call.query)}, None, None
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
        kept=("status", *OF_MANY),
        times=time_filters.local_times(call),
        cli_arguments=cli_arguments({name: value for name, value in order.items() if name != "status"}),
    )


async def replay_all(call: PageCall) -> PageAnswer:
    """Replays what was checked, and returns to the list."""
    order = {name: call.form[name] for name in ("status", *OF_MANY) if call.form.get(name)} | _options(call.form)
    answer = await call.api.call("replayExecutions", body=order)
    result = answer.data
    message = "executions.bulk-more" if result.more else "executions.bulk-done"
    return call.done(message, replayed=result.replayed, refused=result.refused_count)


def _options(given: Any) -> dict[str, Any]:
    """The options that have a value. What is no number is passed on: the API explains what is wrong."""
    options: dict[str, Any] = {name: given[name] for name in OPTIONS if given.get(name)}
    for name, kind in (("limit", int), ("rate", float)):
        try:
            options |= {name: kind(options[name])} if name in options else {}
        except ValueError:
            continue
    return options
