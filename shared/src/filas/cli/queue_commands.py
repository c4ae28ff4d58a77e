"""`filas stats`, `clean`, `jobs` and `job …`: queues and single jobs."""

import re
from datetime import UTC, datetime
from typing import get_args

import click

from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table
from filas.contract import policies
from filas.models.dead_letters import JobState

QUEUES = click.Choice([policy.short for policy in policies.QUEUES] + [policy.name for policy in policies.QUEUES])
STATES = click.Choice(get_args(JobState))
_COUNTS = ("waiting", "active", "delayed", "completed", "failed")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Converts an age such as `90s`, `30m`, `24h` or `7d` to milliseconds. Raises click.BadParameter."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not an age such as 90s, 30m, 24h or 7d")
    return int(found[1]) * _UNITS_MS[found[2]]


@click.command()
@as_json
def stats(as_json: bool) -> None:
    """Count the jobs of each queue: waiting, active, delayed, completed, failed; and the executions that failed."""
    client = from_environment()
    found = client.get("queue", "stats")
    if as_json:
        show_json(found)
        return
    rows = [
        (policies.BY_SHORT[short].name if short in policies.BY_SHORT else short, *(counts[name] for name in _COUNTS))
        for short, counts in found["queues"].items()
    ]
    summary = found["summary"]
    rows.append(("all", *(summary[f"total{name.capitalize()}"] for name in _COUNTS)))
    show_table(("QUEUE", *(name.upper() for name in _COUNTS)), rows, nothing="")
    counts = client.get("executions", "counts")
    click.echo(f"\nExecutions of the last 24 hours: {counts['failed']} failed, {counts['timedOut']} timed out")


@click.command()
@click.option("--queue", type=QUEUES, help="Only this queue.")
@click.option("--state", type=click.Choice(["completed", "failed"]), help="Only jobs in this state.")
@click.option(
    "--older-than",
    metavar="AGE",
    callback=milliseconds,
    help="An age: 90s, 30m, 24h, 7d.  [default: completed 24h, failed 7d]",
)
@as_json
def clean(queue: str | None, state: str | None, older_than: int | None, as_json: bool) -> None:
    """Remove the records of finished jobs."""
    body = {
        name: value
        for name, value in (("queue", queue), ("state", state), ("olderThanMs", older_than))
        if value is not None
    }
    done = from_environment().post("queue", "clean", body=body)
    if as_json:
        show_json(done)
        return
    click.echo(f"{done['removed']} removed")


@click.command()
@click.argument("queue", type=QUEUES)
@click.argument("state", type=STATES, default="waiting")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def jobs(queue: str, state: str, limit: int, as_json: bool) -> None:
    """List the jobs of QUEUE in STATE (default: waiting)."""
    found = list(from_environment().items("queue", queue, "jobs", limit=limit, state=state))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["name"], item["state"], item["attemptsMade"], _moment(item.get("processedOn")),
         item.get("error"))
        for item in found
    ]  # fmt: skip
    headings = ("ID", "FUNCTION", "STATE", "ATTEMPTS", "SINCE", "ERROR")
    show_table(headings, rows, nothing=f"No {state} jobs in {queue}")


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


@click.group()
def job() -> None:
    """Show, retry, promote or cancel one job."""


@job.command("show")
@click.argument("job_id", metavar="ID")
def show_job(job_id: str) -> None:
    """Print a job with its payload."""
    show_json(from_environment().get("jobs", job_id))


def _action(name: str, results: dict[str, str], description: str) -> None:
    """Adds a command for one job. `results` has the text for each outcome."""

    @job.command(name, help=description)
    @click.argument("job_id", metavar="ID")
    def act(job_id: str) -> None:
        outcome = from_environment().post("jobs", job_id, name)["outcome"]
        click.echo(f"{job_id} {results.get(outcome, outcome)}")


_action("retry", {"done": "enqueued again"}, "Enqueue a failed job again.")
_action("promote", {"done": "due now"}, "Make a delayed job due now.")
_action(
    "cancel",
    {"done": "cancelled", "running": "is running: it is being cancelled, unless it ends before"},
    "Cancel a job. A job that runs is interrupted.",
)
