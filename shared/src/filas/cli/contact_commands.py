"""`filas contacts …`: a contact with its addresses and conversations."""

import click

from filas.cli.api_client import from_environment
from filas.cli.output import always_json, show_json


@click.group()
def contacts() -> None:
    """The contacts: show. `filas conversations list --contact ADDRESS` finds them by address."""


@contacts.command()
@click.argument("contact_id", metavar="ID")
@always_json
def show(contact_id: str) -> None:
    """Print a contact with its addresses and conversations."""
    show_json(from_environment().get("contacts", contact_id))
