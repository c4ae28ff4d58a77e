"""`filas login` and `filas logout`: the key that the commands use without variables in the environment."""

import os
import sys
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import click

from filas.cli import credentials
from filas.cli.api_client import Client, CommandFailed
from filas.cli.credentials import Credentials
from filas.cli.times import both


@click.command()
@click.argument("url", required=False)
def login(url: str | None) -> None:
    """Store the address of the API and a key for it, for all later commands.

    URL is the address (default: FILAS_URL). The key is asked for, or read from standard input. It is stored in a file
    that only you can read (~/.config/filas/login.json). FILAS_API_KEY and FILAS_ADMIN_TOKEN go before it.
    """
    address = credentials.checked_url(url) if url else credentials.api_url(os.environ)
    if _is_exposed(address):
        click.echo(f"warning: {address} is not https: others on the way can read the key", err=True)
    found = Credentials(address, credentials.checked_key(_key(), "the key"), "the key")
    client = _who(found)
    file = credentials.store(found, os.environ)
    click.echo(f"signed in to {address} as {client['name']} ({client['role']}); stored in {file}")
    if client["expiresAt"]:
        click.echo(f"the key is valid until {both(client['expiresAt'])}")
    for variable in credentials.KEY_VARIABLES:
        if os.environ.get(variable):
            click.echo(f"warning: {variable} is set, so the commands use it instead", err=True)


def _key() -> str:
    if sys.stdin.isatty():
        key: str = click.prompt("key", hide_input=True, err=True)
        return key.strip()
    return sys.stdin.readline().strip()


def _who(found: Credentials) -> dict[str, Any]:
    client: dict[str, Any] = Client(found.url, found.key, source=found.source).get("keys", "current")
    return client


def _is_exposed(url: str) -> bool:
    """Whether the key goes over a network without encryption."""
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme == "https" or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


@click.command()
def logout() -> None:
    """Delete the key that `filas login` has stored. The key itself stays valid: `filas keys revoke` ends it."""
    if not credentials.remove(os.environ):
        raise CommandFailed("no key is stored")
    click.echo("the stored key is deleted")
