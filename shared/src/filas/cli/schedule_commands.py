"""`filas schedules …`: apply, preview, show, list and delete schedules."""

from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.json_documents import Document, read_document
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_problems, show_result, show_table
from filas.cli.times import both


@click.group(cls=LazyGroup, aliases={"get": "show"})
def schedules() -> None:
    """Times at which flows start: list, show, preview, apply, delete."""


@schedules.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--id", "schedule_id", metavar="ID", help="The schedule's id.  [default: the file's name without .json]")
@click.option("--force", is_flag=True, help="Also if its flow or channel is not stored.")
@as_json
def apply(files: tuple[str, ...], schedule_id: str | None, force: bool, as_json: bool) -> None:
    """Create or replace the schedule of each FILE (JSON; `-`: standard input)."""
    if schedule_id is not None and len(files) > 1:
        raise click.UsageError("--id needs exactly one FILE")
    documents = [(schedule_id or document.stem, document) for document in map(read_document, files)]
    client = from_environment()
    applied = []
    for name, document in documents:
        stored = _put(client, name, document, force=force)
        applied.append(stored)
        if not as_json:
            click.echo(f"{name} starts {stored['flowId']} {_next(stored)}")
    if as_json:
        show_json(applied)


def _put(client: Client, schedule_id: str, document: Document, *, force: bool) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = client.put("schedules", schedule_id, body=document.value, **options.forced(force))
    except CommandFailed as refusal:
        show_problems(refusal.errors)
        raise CommandFailed(f"{document.source}: {refusal.message}", refusal.errors, refusal.status) from None
    return stored


def _next(stored: dict[str, Any]) -> str:
    if not stored["enabled"]:
        return "never: the schedule is disabled"
    if stored["nextRunAt"] is None:
        return "never: all its times have passed"
    return f"next at {both(stored['nextRunAt'])}"


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.option(
    "--preview", type=click.IntRange(min=0, max=100), default=5, show_default=True, help="Number of next runs to show."
)
@always_json
def show(schedule_id: str, preview: int) -> None:
    """Print the schedule ID with its next runs and the outcome of the last runs."""
    show_json(from_environment().get("schedules", schedule_id, preview=preview))


@schedules.command()
@click.argument("file", metavar="FILE")
@click.option("--count", type=click.IntRange(min=1, max=100), default=10, show_default=True, help="Number of ticks.")
@as_json
def preview(file: str, count: int, as_json: bool) -> None:
    """Show the next ticks of the schedule in FILE (JSON; `-`: standard input). Nothing is stored."""
    document = read_document(file)
    try:
        found = from_environment().post("schedules", "preview", body=document.value, preview=count)
    except CommandFailed as refusal:
        show_problems(refusal.errors)
        raise CommandFailed(f"{document.source}: {refusal.message}", refusal.errors, refusal.status) from None
    if as_json:
        show_json(found)
        return
    for warning in found["warnings"]:
        click.echo(f"warning: {warning['message']}", err=True)
    show_table(("TICK",), [(tick,) for tick in found["nextRuns"]], nothing="No tick is to come", exact_times=True)


@schedules.command("list")
@options.limit
@as_json
def list_schedules(limit: int, as_json: bool) -> None:
    """List the schedules."""
    found = list(from_environment().items("schedules", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["flowId"], _times(item), item["timezone"], item["enabled"],
         item["nextRunAt"], item["lastRunAt"], (item["lastError"] or {}).get("message"))
        for item in found
    ]  # fmt: skip
    headings = ("ID", "FLOW", "CRON", "ZONE", "ENABLED", "NEXT", "LAST", "ERROR")
    show_table(headings, rows, nothing="No schedules yet")


def _times(item: dict[str, Any]) -> str:
    if item["every"]:
        return "every " + ", ".join(f"{number} {unit}" for unit, number in item["every"].items())
    return str(item["cron"] or f"{len(item['at'])} times")


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@as_json
def delete(schedule_id: str, as_json: bool) -> None:
    """Delete the schedule ID. Executions that it started continue."""
    done = from_environment().delete("schedules", schedule_id)
    show_result(done, f"{schedule_id} deleted", as_json=as_json)
