"""`filas executions …`: list, show, cancel and replay executions, and count their failures."""

from typing import Any, get_args

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_text
from filas.cli.output import always_json, as_json, error_text, show_json, show_result, show_table
from filas.cli.timeline_tables import show_timeline, show_waiting
from filas.models.executions import FAILED_EXECUTION_STATUSES, ExecutionStatus, StepStatus
from filas.models.waiting import WaitsFor

_FAILED = ",".join(sorted(FAILED_EXECUTION_STATUSES))
_BEGIN = click.option(
    "--from",
    "begin",
    type=click.Choice(["start", "failed-step"]),
    default="start",
    show_default=True,
    help="From the start, or from the failed step with the variables of that moment.",
)
_VERSION_HELP = "The version of the execution, or the published one."
_VERSION = click.option(
    "--version", type=click.Choice(["own", "newest"]), default="own", show_default=True, help=_VERSION_HELP
)


@click.group()
def executions() -> None:
    """The executions of flows: list, show, cancel, replay."""


@executions.command("list")
@click.option("--failed", is_flag=True, help="Only those that failed or timed out.")
@click.option("--status", type=click.Choice(get_args(ExecutionStatus)), help="Only those with this status.")
@click.option("--flow", "flowId", metavar="ID", help="Only those of this flow.")
@click.option("--node", "nodeId", metavar="ID", help="Only those with a step of this node.")
@click.option("--step-status", "stepStatus", type=click.Choice(get_args(StepStatus)), help="Of a step of --node.")
@click.option("--handle", metavar="HANDLE", help="Only those in which a step of --node left by this handle.")
@click.option("--error", metavar="KIND", help="Only failures of this kind, or with this fingerprint.")
@click.option("--contact", metavar="ADDRESS", help="Only those of this contact, however it is typed.")
@click.option("--conversation", "conversationId", metavar="ID", help="Only those of this conversation.")
@click.option("--event", "eventId", metavar="ID", help="Only those that this event started or resumed.")
@click.option("--replay-of", "replayOf", metavar="ID", help="Only those that replay this execution.")
@options.period("queued")
@options.limit
@as_json
def list_executions(failed: bool, status: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List executions, the newest first."""
    if failed and status is not None:
        raise click.UsageError("give --failed or --status, not both")
    asked = _FAILED if failed else status
    found = list(from_environment().items("executions", limit=limit, status=asked, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (
            item["id"],
            item["flowId"],
            item["version"],
            item["queuedAt"],
            item["contact"],
            _status(item),
            error_text(item["error"]),
        )
        for item in found
    ]
    show_table(("ID", "FLOW", "VERSION", "QUEUED", "CONTACT", "STATUS", "ERROR"), rows, nothing="No executions")


@executions.command()
@click.argument("execution_id", metavar="ID")
@always_json
def show(execution_id: str) -> None:
    """Print an execution with every step."""
    show_json(from_environment().get("executions", execution_id))


@executions.command()
@click.argument("execution_id", metavar="ID")
@as_json
def timeline(execution_id: str, as_json: bool) -> None:
    """Show what happened to an execution, from the receipt of its event to its delivery receipts."""
    found = from_environment().get("executions", execution_id, "timeline")
    show_json(found) if as_json else show_timeline(found)


@executions.command()
@click.option("--for", "waitsFor", type=click.Choice(get_args(WaitsFor)), help="Only those that wait for this.")
@click.option("--flow", "flowId", metavar="ID", help="Only those of this flow.")
@click.option("--channel", metavar="ID", help="Only those of this channel.")
@click.option("--contact", metavar="ADDRESS", help="Only those of this contact, however it is typed.")
@click.option("--until", metavar="TIME", callback=options.future, help="Only waits that end before TIME, or within 2h.")
@options.limit
@as_json
def waiting(limit: int, as_json: bool, **filters: Any) -> None:
    """List the executions that wait, the wait that ends first at the top."""
    found = list(from_environment().items("waiting", limit=limit, **filters))
    show_json(found) if as_json else show_waiting(found)


@executions.command()
@click.option("--flow", "flowId", metavar="ID", help="Only those of this flow.")
@options.period("ended")
@as_json
def groups(as_json: bool, **filters: Any) -> None:
    """Count the executions that failed or timed out in the last 24 hours, by flow and error."""
    found = from_environment().get("executions", "groups", **filters)
    if as_json:
        show_json(found)
        return
    rows = [
        (item["where"], item["count"], item["first"], item["last"], item["fingerprint"], error_text(item["error"]))
        for item in found
    ]
    show_table(("FLOW", "COUNT", "FIRST", "LAST", "FINGERPRINT", "ERROR"), rows, nothing="No failed executions")


@executions.command()
@click.argument("execution_id", metavar="ID")
@as_json
def cancel(execution_id: str, as_json: bool) -> None:
    """Cancel an execution."""
    done = from_environment().post("executions", execution_id, "cancel")
    show_result(done, f"{execution_id} is being cancelled", as_json=as_json)


@executions.command()
@click.argument("execution_id", metavar="ID")
@_BEGIN
@click.option("--node", metavar="NODE", help="From this node instead, with what the nodes before it have left.")
@click.option(
    "--version", metavar="VERSION", default="own", show_default=True, help="own, newest (published), or a number."
)
@click.option("--body", "file", metavar="FILE", help="Replace the body of the event by FILE (`-`: stdin).")
@as_json
def replay(execution_id: str, begin: str, node: str | None, version: str, file: str | None, as_json: bool) -> None:
    """Replay an ended execution as a new one."""
    order: dict[str, Any] = {"from": begin, "version": int(version) if version.isdecimal() else version}
    if node is not None:
        order["node"] = node
    if file is not None:
        order["bodyText"] = read_text(file)
    done = from_environment().post("executions", execution_id, "replay", body=order)
    show_result(done, f"replayed as {done['id']}", as_json=as_json)


@executions.command("replay-all")
@click.option("--flow", "flowId", metavar="ID", help="Only those of this flow.")
@click.option("--error", metavar="KIND", help="Only failures of this kind, or with this fingerprint.")
@click.option("--contact", metavar="ADDRESS", help="Only those of this contact, however it is typed.")
@options.period("queued")
@_BEGIN
@_VERSION
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--rate", type=float, metavar="N", help="Executions per second; by default all at once.")
@click.option("--dry-run", is_flag=True, help="Only count them; replay nothing.")
@as_json
def replay_all(
    begin: str, version: str, limit: int, rate: float | None, dry_run: bool, as_json: bool, **filters: str | None
) -> None:
    """Replay all matching executions that failed or timed out, the oldest first. Those that were replayed are
    skipped."""
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    order = {**given, "from": begin, "version": version, "limit": limit, "dryRun": dry_run}
    if rate is not None:
        order["rate"] = rate
    done = from_environment().post("executions", "replay", body=order)
    if as_json:
        show_json(done)
        return
    flows = ", ".join(f"{count} of {name}" for name, count in sorted(done["flows"].items())) or "none"
    click.echo(f"{done['matched']} match: {flows}")
    verb = "would be replayed" if dry_run else "replayed"
    click.echo(f"{done['replayed']} {verb}" + (f", the last one due in {done['takesS']:.0f} s" if rate else ""))
    for one in done["refused"]:
        click.echo(f"{one['id']} cannot be replayed: {one['reason']}")
    if done["more"]:
        click.echo(f"more than {limit} match: run the command again for the rest")


def _status(item: dict[str, Any]) -> str:
    """The status, with the number of messages that were not delivered."""
    undelivered = item.get("undelivered") or 0
    return f"{item['status']} ({undelivered} undelivered)" if undelivered else str(item["status"])
