"""`filas webhooks …`: apply, show, list and delete webhooks."""

import sys

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_result, show_table


@click.group(cls=LazyGroup, aliases={"get": "show"})
def webhooks() -> None:
    """Addresses that receive events and start flows: list, show, apply, delete; and their secrets."""


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("file")
@click.option("--force", is_flag=True, help="Also if its flow, node, channel, templates or filter have errors.")
@as_json
def apply(webhook_id: str, file: str, force: bool, as_json: bool) -> None:
    """Create or replace the webhook ID with FILE (JSON; `-`: standard input). `***` keeps a stored secret."""
    stored = from_environment().put("webhooks", webhook_id, body=read_object(file), **options.forced(force))
    for warning in stored.get("warnings", ()):
        click.echo(f"warning: {warning['field']}: {warning['message']}", err=True)
    sentence = f"/webhooks/{stored['path']} starts {stored['flowId']} at {stored['nodeId']}"
    show_result(stored, sentence, as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@always_json
def show(webhook_id: str) -> None:
    """Print the webhook ID with its secrets masked."""
    show_json(from_environment().get("webhooks", webhook_id))


@webhooks.command("list")
@options.limit
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


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@as_json
def delete(webhook_id: str, as_json: bool) -> None:
    """Delete the webhook ID. Its events are kept."""
    done = from_environment().delete("webhooks", webhook_id)
    show_result(done, f"{webhook_id} deleted", as_json=as_json)


@webhooks.command("add-secret")
@click.argument("webhook_id", metavar="ID")
@click.option("--env", "variable", metavar="VARIABLE", help="The secret is in this variable of the services.")
@as_json
def add_secret(webhook_id: str, variable: str | None, as_json: bool) -> None:
    """Add a secret to the webhook ID, beside those that it has. It is asked for, or read from standard input.

    A webhook accepts what any of its secrets proves: add the new one, change it at the sender, remove the old one.
    """
    secret = f"env:{variable}" if variable else _secret(webhook_id)
    stored = from_environment().post("webhooks", webhook_id, "secrets", body={"secret": secret})
    show_result(stored, f"{webhook_id} has {len(stored['auth']['secrets'])} secrets", as_json=as_json)


def _secret(webhook_id: str) -> str:
    if sys.stdin.isatty():
        given: str = click.prompt(f"new secret of {webhook_id}", hide_input=True, err=True)
        return given
    return sys.stdin.read().strip()


@webhooks.command("remove-secret")
@click.argument("webhook_id", metavar="ID")
@click.argument("place", metavar="PLACE", type=click.IntRange(0))
@as_json
def remove_secret(webhook_id: str, place: int, as_json: bool) -> None:
    """Remove the secret at PLACE of `auth.secrets` of the webhook ID; 0 is the first, which is usually the oldest."""
    stored = from_environment().delete("webhooks", webhook_id, "secrets", str(place))
    show_result(stored, f"{webhook_id} has {len(stored['auth']['secrets'])} secrets", as_json=as_json)
