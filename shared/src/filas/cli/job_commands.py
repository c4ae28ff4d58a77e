"""`filas jobs …`: the jobs of a queue, and commands for one job."""

from datetime import UTC, datetime
from typing import get_args

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_result, show_table
from filas.models.dead_letters import JobState

STATES = click.Choice(get_args(JobState))


@click.group(cls=LazyGroup, default="list")
def jobs() -> None:
    """The jobs of the queues: list, show, retry, promote, cancel."""


@jobs.command("list")
@click.argument("queue", type=options.QUEUES)
@click.argument("state", type=STATES, default="waiting")
@options.limit
@as_json
def list_jobs(queue: str, state: str, limit: int, as_json: bool) -> None:
    """List the jobs of QUEUE in STATE (default: waiting)."""
    found = list(from_environment().items("queue", queue, "jobs", limit=limit, state=state))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["name"], item["state"], item["attemptsMade"], _moment(item.get("processedOn")),
         _moment(item.get("dueOn")), item.get("error"))
        for item in found
    ]  # fmt: skip
    headings = ("ID", "FUNCTION", "STATE", "ATTEMPTS", "SINCE", "DUE", "ERROR")
    show_table(headings, rows, nothing=f"No {state} jobs in {queue}")


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


@jobs.command()
@click.argument("job_id", metavar="ID")
@always_json
def show(job_id: str) -> None:
    """Print a job with its payload."""
    show_json(from_environment().get("jobs", job_id))


def _action(name: str, results: dict[str, str], description: str) -> None:
    """Adds a command for one job. `results` has the text for each outcome."""

    @jobs.command(name, help=description)
    @click.argument("job_id", metavar="ID")
    @as_json
    def act(job_id: str, as_json: bool) -> None:
        done = from_environment().post("jobs", job_id, name)
        show_result(done, f"{job_id} {results.get(done['outcome'], done['outcome'])}", as_json=as_json)


_action("retry", {"done": "enqueued again"}, "Enqueue a failed job again.")
_action("promote", {"done": "due now"}, "Make a delayed job due now.")
_action(
    "cancel",
    {"done": "cancelled", "running": "is running: it is being cancelled, unless it ends before"},
    "Cancel a job. A job that runs is interrupted.",
)
