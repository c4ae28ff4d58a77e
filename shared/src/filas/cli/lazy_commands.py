"""Commands that are imported when they are called, so that each imports only what it needs."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group with commands that are given by their address (`module:attribute`)."""

    def __init__(self, *args: Any, addresses: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.addresses = dict(addresses or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return sorted({*super().list_commands(ctx), *self.addresses})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns the command, or None. A command that cannot be imported reports that when it runs."""
        address = self.addresses.get(cmd_name)
        if address is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = address.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            return _broken(cmd_name, str(error))
        return command if isinstance(command, click.Command) else _broken(cmd_name, f"{address} is not a command")


def _broken(name: str, reason: str) -> click.Command:
    def report(**_: Any) -> None:
        raise click.ClickException(f"the command {name} cannot be loaded: {reason}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=report, short_help="(cannot be loaded)", context_settings=anything)
