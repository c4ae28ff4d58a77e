"""`filas webhook …`: apply, show, list and delete webhooks."""

import click

from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.output import as_json, show_json, show_table


@click.group()
def webhook() -> None:
    """Apply, show, list and delete webhooks."""


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("file")
@click.option("--force", is_flag=True, help="Also if its flow, node, channel, templates or filter have errors.")
@as_json
def apply(webhook_id: str, file: str, force: bool, as_json: bool) -> None:
    """Create or replace the webhook ID with FILE (JSON; `-`: standard input). `***` keeps a stored secret."""
    query = {"force": "true"} if force else {}
    stored = from_environment().put("webhooks", webhook_id, body=read_object(file), **query)
    for warning in stored.get("warnings", ()):
        click.echo(f"warning: {warning['field']}: {warning['message']}", err=True)
    if as_json:
        show_json(stored)
        return
    click.echo(f"/webhooks/{stored['path']} starts {stored['flowId']} at {stored['nodeId']}")


@webhook.command()
@click.argument("webhook_id", metavar="ID")
def get(webhook_id: str) -> None:
    """Print the webhook ID with its secrets masked."""
    show_json(from_environment().get("webhooks", webhook_id))


@webhook.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def list_webhooks(limit: int, as_json: bool) -> None:
    """List the webhooks."""
    found = list(from_environment().items("webhooks", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], f"/webhooks/{item['path']}", ",".join(item["methods"]), item["auth"].get("type"),
         item["flowId"], item["enabled"])
        for item in found
    ]  # fmt: skip
    headings = ("ID", "PATH", "METHODS", "AUTH", "FLOW", "ENABLED")
    show_table(headings, rows, nothing="No webhooks yet")


@webhook.command()
@click.argument("webhook_id", metavar="ID")
def delete(webhook_id: str) -> None:
    """Delete the webhook ID. Its events are kept."""
    from_environment().delete("webhooks", webhook_id)
    click.echo(f"{webhook_id} deleted")
