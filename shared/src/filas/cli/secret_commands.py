"""`filas secrets …`: the secrets that flows use as `secrets.NAME`."""

import sys

import click

from filas.cli import options
from filas.cli.api_client import from_environment
from filas.cli.output import as_json, show_json, show_result, show_table


@click.group()
def secrets() -> None:
    """The secrets of flows: list, apply, delete. A stored value is never shown."""


@secrets.command("list")
@as_json
def list_secrets(as_json: bool) -> None:
    """List the names of the secrets."""
    found = from_environment().get("secrets")
    if as_json:
        show_json(found)
        return
    show_table(("NAME",), [(name,) for name in found], nothing="No secrets yet")


@secrets.command()
@click.argument("name", metavar="NAME")
@click.option("--env", "variable", metavar="VARIABLE", help="The value is in this variable of the services.")
@as_json
def apply(name: str, variable: str | None, as_json: bool) -> None:
    """Store the secret NAME. The value is asked for, or read from standard input.

    It is no argument, because other users of the machine can read the arguments of a process.
    """
    value = f"env:{variable}" if variable else _value(name)
    stored = from_environment().put("secrets", name, body={"value": value})
    show_result(stored, f"{name} is stored", as_json=as_json)


def _value(name: str) -> str:
    if sys.stdin.isatty():
        given: str = click.prompt(name, hide_input=True, err=True)
        return given
    return sys.stdin.read().removesuffix("\n")


@secrets.command()
@click.argument("name", metavar="NAME")
@options.delete_force
@as_json
def delete(name: str, force: bool, as_json: bool) -> None:
    """Delete the secret NAME. Flows that use it fail."""
    done = from_environment().delete("secrets", name, **options.forced(force))
    show_result(done, f"{name} deleted", as_json=as_json)
