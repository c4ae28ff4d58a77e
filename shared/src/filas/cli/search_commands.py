"""`filas search …`: what a typed text is, and what it finds."""

from typing import Any

import click

from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table, shown
from filas.cli.times import both


@click.group()
def search() -> None:
    """Find ids, contacts and words: find, state."""


@search.command()
@click.argument("text", metavar="TEXT", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many rows of a kind.")
@as_json
def find(text: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find what has this id, the conversations with this address, or the events with these words."""
    found = from_environment().get("search", q=" ".join(text), limit=limit)
    if as_json:
        show_json(found)
        return
    rows = [
        *map(_entity, found["entities"]),
        *map(_conversation, found["conversations"]),
        *map(_event, found["events"]),
    ]
    show_table(("KIND", "ID", "WHERE", "TIME"), rows, nothing=shown(f"Nothing has {found['query']!r}"))


@search.command()
@as_json
def state(as_json: bool) -> None:
    """Show how far the index of the words in events is behind."""
    found = from_environment().get("search", "state")
    if as_json:
        show_json(found)
        return
    click.echo(f"{found['events']} events in {found['segments']} segments; {found['behindS']:.0f} s behind", nl=False)
    click.echo(f" ({found['behindEvents']} events)" if found["behindEvents"] else "")
    if found["indexedFrom"] is not None:
        click.echo(f"Events before {both(found['indexedFrom'])} are being indexed")
    if not found["built"]:
        click.echo("No process builds the index: start `ingest admin`")


def _entity(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["kind"], one["id"], None, None


def _conversation(one: dict[str, Any]) -> tuple[Any, ...]:
    return "conversation", one["id"], f"{one['channel']} {one['address'] or one['contact']}", one["lastExecutionAt"]


def _event(one: dict[str, Any]) -> tuple[Any, ...]:
    return "event", one["id"], one["webhookId"], one["receivedAt"]
