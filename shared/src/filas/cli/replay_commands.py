"""`filas replays …`: replays of many rows that run in the background."""

from typing import Any, get_args

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.output import always_json, as_json, show_json, show_result, show_table
from filas.models.replay_runs import ReplayKind

_RATE = click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Rows per second.")


@click.group()
def replays() -> None:
    """Replays of many rows in the background: start, list, show, rate, stop."""


@replays.command()
@click.argument("kind", type=click.Choice(get_args(ReplayKind)))
@options.queue
@click.option("--fingerprint", metavar="TEXT", help="Dead letters with this fingerprint.")
@click.option("--flow", "flowId", metavar="ID", help="Executions of this flow.")
@click.option("--error", metavar="KIND", help="Executions that failed with this kind of error or this fingerprint.")
@click.option("--webhook", "webhookId", metavar="ID", help="Events of this webhook.")
@click.option("--status", type=click.Choice(["processed", "ignored", "failed"]), help="Events with this status.")
@options.period("failed, queued or received")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@_RATE
@as_json
def start(kind: str, as_json: bool, **given: Any) -> None:
    """Replay all rows of KIND that match and were not replayed, the oldest first."""
    body = {"kind": kind} | {name: value for name, value in given.items() if value is not None}
    run = from_environment().post("replays", body=body)
    show_result(run, f"{run['id']} runs: {_expected(run)} match. filas replays show {run['id']}", as_json=as_json)


@replays.command("list")
@options.limit
@as_json
def list_replays(limit: int, as_json: bool) -> None:
    """List the replays, the newest first."""
    found = list(from_environment().items("replays", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (run["id"], run["definition"]["kind"], run["status"], run["startedAt"], run["replayed"], run["refusedCount"],
         _expected(run), run["rate"], run["startedBy"])
        for run in found
    ]  # fmt: skip
    headings = ("ID", "KIND", "STATUS", "STARTED", "REPLAYED", "REFUSED", "OF", "RATE", "BY")
    show_table(headings, rows, nothing="No replays")


@replays.command()
@click.argument("run_id", metavar="ID")
@always_json
def show(run_id: str) -> None:
    """Print a replay with its progress."""
    show_json(from_environment().get("replays", run_id))


@replays.command()
@click.argument("run_id", metavar="ID")
@as_json
def stop(run_id: str, as_json: bool) -> None:
    """Stop a replay. What it has replayed stays replayed."""
    run = from_environment().post("replays", run_id, "stop")
    show_result(run, f"{run_id} is stopped after {run['replayed']}", as_json=as_json)


@replays.command()
@click.argument("run_id", metavar="ID")
@_RATE
@as_json
def rate(run_id: str, rate: float | None, as_json: bool) -> None:
    """Change the rate of a replay. Without --rate: as fast as possible."""
    run = from_environment().post("replays", run_id, "rate", body={"rate": rate})
    words = "runs as fast as possible" if run["rate"] is None else f"replays {run['rate']:g} rows a second"
    show_result(run, f"{run_id} {words}", as_json=as_json)


def _expected(run: dict[str, Any]) -> str:
    return "an unknown number" if run["expected"] is None else str(run["expected"])
