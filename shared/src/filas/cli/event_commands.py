"""`filas events …` and `filas refusals …`: what webhooks received, and what they refused."""

from typing import Any, get_args

import click

from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table
from filas.models.events import EventStatus


@click.group()
def events() -> None:
    """The events that webhooks accepted: list, show."""


@events.command("list")
@click.option("--webhook", "webhookId", metavar="ID", help="Only those of this webhook.")
@click.option("--status", type=click.Choice(get_args(EventStatus)), help="Only those with this status.")
@click.option("--reason", metavar="REASON", help="Only those that were ignored for this reason (kind:reaction).")
@click.option("--since", metavar="TIME", help="Only those received at or after TIME (2026-11-22T12:00:00Z).")
@click.option("--until", metavar="TIME", help="Only those received before TIME.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def list_events(limit: int, as_json: bool, **filters: Any) -> None:
    """List events, the newest first."""
    found = list(from_environment().items("events", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["webhookId"], item["receivedAt"], item["status"], item["reason"] or _message(item["error"]))
        for item in found
    ]
    show_table(("ID", "WEBHOOK", "RECEIVED", "STATUS", "REASON"), rows, nothing="No events")


@events.command()
@click.argument("event_id", metavar="ID")
def show(event_id: str) -> None:
    """Print an event with its headers and its body."""
    show_json(from_environment().get("events", event_id))


@click.group()
def refusals() -> None:
    """The requests to webhooks that were refused: list."""


@refusals.command("list")
@click.option("--webhook", "webhookId", metavar="ID", help="Only those to this webhook.")
@click.option("--path", metavar="PATH", help="Only those to this path (shop, /webhooks/shop).")
@click.option("--reason", metavar="REASON", help="Only those with this reason (signature, too-large).")
@click.option("--status", type=click.IntRange(400, 499), help="Only those with this status.")
@click.option("--address", metavar="ADDRESS", help="Only those from this address.")
@click.option("--since", metavar="TIME", help="Only those received at or after TIME (2026-11-22T12:00:00Z).")
@click.option("--until", metavar="TIME", help="Only those received before TIME.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def list_refusals(limit: int, as_json: bool, **filters: Any) -> None:
    """List refused requests, the newest first. --json also shows their headers and the beginning of their bodies."""
    found = list(from_environment().items("refusals", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["receivedAt"], item["status"], item["reason"], f"{item['method']} {item['path']}", item["address"],
         item["size"], item["detail"])
        for item in found
    ]  # fmt: skip
    headings = ("RECEIVED", "STATUS", "REASON", "REQUEST", "ADDRESS", "BYTES", "DETAIL")
    show_table(headings, rows, nothing="No refused requests")


def _message(error: dict[str, str] | None) -> str | None:
    return None if error is None else f"{error['kind']}: {error['message']}"
