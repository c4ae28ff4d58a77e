"""`filas scaling …`: how many replicas of each worker are needed, and why."""

import click

from filas.cli.api_client import from_environment
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import as_json, show_json, show_table


@click.group(cls=LazyGroup, default="show")
def scaling() -> None:
    """How many replicas of each worker are needed: show."""


@scaling.command()
@click.argument("worker", metavar="[WORKER]", required=False)
@as_json
def show(worker: str | None, as_json: bool) -> None:
    """Show the number of replicas that each worker, or WORKER, needs, and why."""
    found = from_environment().get("scaling", *([worker] if worker else []))
    if as_json:
        show_json(found)
        return
    rows = [
        (one["worker"], one["current"], one["replicas"], one["figures"]["waiting"],
         "; ".join(reason["en"] for reason in one["reasons"]))
        for one in ([found] if worker else found["workers"])
    ]  # fmt: skip
    show_table(("WORKER", "NOW", "NEEDED", "WAITING", "WHY"), rows, nothing="No workers")
