"""`filas conversations …`: search conversations, and show one as a thread."""

from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_table, shown
from filas.cli.times import both


@click.group()
def conversations() -> None:
    """The conversations with contacts: list, show."""


@conversations.command("list")
@click.option("--contact", metavar="ADDRESS", help="Only those of this contact, in any form, or its last digits.")
@click.option("--channel", metavar="ID", help="Only those over this channel.")
@click.option("--text", metavar="WORDS", help="Only those with a message that has all of these words.")
@options.limit
@as_json
def list_conversations(limit: int, as_json: bool, **filters: Any) -> None:
    """List conversations, those with the newest execution first."""
    found = list(from_environment().items("conversations", limit=limit, **filters))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["channel"], item["address"] or item["contact"], item["lastExecutionAt"]) for item in found
    ]
    show_table(("ID", "CHANNEL", "CONTACT", "LAST"), rows, nothing="No conversations")


@conversations.command()
@click.argument("conversation_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many messages.")
@as_json
def show(conversation_id: str, limit: int, as_json: bool) -> None:
    """Show the last messages of a conversation with their delivery states, and what it waits for."""
    found = from_environment().get("conversations", conversation_id, limit=limit)
    if as_json:
        show_json(found)
        return
    click.echo(shown(f"{found['address'] or found['contact']} over {found['channel']}"))
    rows = [
        (one["at"], "<-" if one["direction"] == "incoming" else "->", one["status"], one["text"] or f"({one['kind']})")
        for one in reversed(found["messages"])
    ]
    show_table(("TIME", "", "STATUS", "MESSAGE"), rows, nothing="No messages")
    for wait in found["waits"]:
        until = "" if wait["wakeAt"] is None else f", until {both(wait['wakeAt'])} at the latest"
        click.echo(f"{wait['executionId']} ({wait['flowId']}) is {wait['status']} at {wait['nodeId'] or '-'}{until}")
