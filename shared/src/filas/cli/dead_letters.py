"""`filas dead-letters …`: look at jobs that could not succeed, put them back, remove them."""

import click

from filas import policies
from filas.cli.client import from_environment
from filas.cli.output import as_json, show_json, show_table

QUEUE_NAMES = [policy.short for policy in policies.QUEUES] + [policy.name for policy in policies.QUEUES]


@click.group("dead-letters")
def dead_letters() -> None:
    """Jobs that could not succeed: list, show, replay, delete."""


@dead_letters.command("list")
@click.option("--queue", type=click.Choice(QUEUE_NAMES), help="Only those of this queue.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def list_dead_letters(queue: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the newest first."""
    found = list(from_environment().items("dead-letters", limit=limit, queue=queue))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["queue"], item["attempts"], item["failedAt"], item["replayedAt"],
         f"{item['error']['kind']}: {item['error']['message']}")
        for item in found
    ]  # fmt: skip
    show_table(("ID", "QUEUE", "TRIES", "FAILED", "REPLAYED", "ERROR"), rows, nothing="no dead letters")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
def show(letter_id: str) -> None:
    """Print a dead letter whole: payload, error and history."""
    show_json(from_environment().get("dead-letters", letter_id))


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@as_json
def replay(letter_id: str, as_json: bool) -> None:
    """Put the job back into its queue, as it was."""
    put = from_environment().post("dead-letters", letter_id, "replay")
    if as_json:
        show_json(put)
        return
    click.echo(f"put back as {put['jobId']}")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
def delete(letter_id: str) -> None:
    """Remove a dead letter for good."""
    from_environment().delete("dead-letters", letter_id)
    click.echo(f"{letter_id} is removed")
