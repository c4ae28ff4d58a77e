"""`filas dead-letters …`: list, show, replay and delete dead letters."""

from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.output import always_json, as_json, error_text, show_json, show_result, show_table


@click.group("dead-letters")
def dead_letters() -> None:
    """Jobs that could not succeed: list, show, replay, delete, restore."""


@dead_letters.command("list")
@options.queue
@click.option("--fingerprint", metavar="TEXT", help="Only those with this fingerprint (`filas dead-letters groups`).")
@options.limit
@as_json
def list_dead_letters(limit: int, as_json: bool, **filters: Any) -> None:
    """List dead letters, the newest first."""
    found = list(from_environment().items("dead-letters", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["queue"], item["attempts"], item["failedAt"], item["replayedAt"],
         error_text(item["error"]))
        for item in found
    ]  # fmt: skip
    show_table(("ID", "QUEUE", "ATTEMPTS", "FAILED", "REPLAYED", "ERROR"), rows, nothing="No dead letters")


@dead_letters.command()
@options.queue
@options.period("failed")
@as_json
def groups(queue: str | None, since: str | None, until: str | None, as_json: bool) -> None:
    """Count the dead letters of the last 24 hours that were not replayed, by queue and error."""
    found = from_environment().get("dead-letters", "groups", queue=queue, since=since, until=until)
    if as_json:
        show_json(found)
        return
    rows = [
        (item["where"], item["count"], item["first"], item["last"], item["fingerprint"],
         error_text(item["error"]))
        for item in found
    ]  # fmt: skip
    show_table(("QUEUE", "COUNT", "FIRST", "LAST", "FINGERPRINT", "ERROR"), rows, nothing="No dead letters")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@always_json
def show(letter_id: str) -> None:
    """Print a dead letter with its payload, error and history."""
    show_json(from_environment().get("dead-letters", letter_id))


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@click.option("--payload", "file", metavar="FILE", help="Replace its message by the JSON in FILE (`-`: stdin).")
@as_json
def replay(letter_id: str, file: str | None, as_json: bool) -> None:
    """Enqueue the job again, unchanged or with a corrected message."""
    body = None if file is None else {"payload": read_object(file)}
    put = from_environment().post("dead-letters", letter_id, "replay", body=body)
    show_result(put, f"enqueued as {put['jobId']}", as_json=as_json)


@dead_letters.command("replay-all")
@options.queue
@click.option("--error", "error_kind", metavar="KIND", help="Only those with this error kind.")
@click.option("--fingerprint", metavar="TEXT", help="Only those with this fingerprint (`filas dead-letters groups`).")
@options.period("failed")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--rate", type=float, metavar="JOBS", help="Jobs per second; by default all at once.")
@click.option("--dry-run", is_flag=True, help="Only count them; enqueue nothing.")
@as_json
def replay_all(
    error_kind: str | None, rate: float | None, limit: int, dry_run: bool, as_json: bool, **filters: Any
) -> None:
    """Enqueue the jobs of all matching dead letters, the oldest first. Those that were replayed before are skipped."""
    asked = {**filters, "errorKind": error_kind, "rate": rate}
    given = {name: value for name, value in asked.items() if value is not None}
    done = from_environment().post("dead-letters", "replay", body={**given, "limit": limit, "dryRun": dry_run})
    if as_json:
        show_json(done)
        return
    click.echo(f"{done['matched']} match: {_counted(done['queues'])}")
    verb = "would be enqueued" if dry_run else "enqueued"
    click.echo(f"{done['replayed']} {verb}" + (f", the last one due in {done['takesS']:.0f} s" if rate else ""))
    for one in done["refused"]:
        click.echo(f"{one['id']} cannot be replayed: {one['reason']}")
    if done["more"]:
        click.echo(f"more than {limit} match: run the command again for the rest")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items())) or "none"


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
def delete(letter_id: str, as_json: bool) -> None:
    """Delete a dead letter. It can be restored for seven days."""
    done = from_environment().delete("dead-letters", letter_id)
    show_result(done, f"{letter_id} deleted", as_json=as_json)


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
def restore(letter_id: str, as_json: bool) -> None:
    """Restore a deleted dead letter."""
    done = from_environment().post("dead-letters", letter_id, "restore")
    show_result(done, f"{letter_id} restored", as_json=as_json)


@dead_letters.command("delete-all")
@options.queue
@click.option("--fingerprint", metavar="TEXT", help="Only those with this fingerprint (`filas dead-letters groups`).")
@options.period("failed")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--dry-run", is_flag=True, help="Only count them; delete nothing.")
@as_json
def delete_all(limit: int, dry_run: bool, as_json: bool, **filters: Any) -> None:
    """Delete all matching dead letters that were not replayed. They can be restored for seven days."""
    given = {name: value for name, value in filters.items() if value is not None}
    done = from_environment().post("dead-letters", "delete", body={**given, "limit": limit, "dryRun": dry_run})
    words = f"{done['deleted']} would be deleted" if dry_run else f"{done['deleted']} deleted"
    undo = "" if dry_run else f"; to restore them: filas dead-letters restore-all {done['deletion']}"
    show_result(done, words + undo, as_json=as_json)


@dead_letters.command("restore-all")
@click.argument("deletion", metavar="DELETION")
@as_json
def restore_all(deletion: str, as_json: bool) -> None:
    """Restore what was deleted together. DELETION is shown by `filas dead-letters delete-all`."""
    done = from_environment().post("dead-letters", "restore", body={"deletion": deletion})
    show_result(done, f"{done['restored']} restored", as_json=as_json)
