"""Commands that are imported only when they are called: each brings along no more than it needs."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows some of its commands by address (`module:attribute`)."""

    def __init__(self, *args: Any, addresses: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.addresses = dict(addresses or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command by name."""
        return sorted({*super().list_commands(ctx), *self.addresses})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now, or None. One that can't be imported says so when it is called."""
        address = self.addresses.get(cmd_name)
        if address is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = address.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            return _broken(cmd_name, str(error))
        return command if isinstance(command, click.Command) else _broken(cmd_name, f"{address} is no command")


def _broken(name: str, reason: str) -> click.Command:
    def complain(**_: Any) -> None:
        raise click.ClickException(f"the command {name} can't be loaded: {reason}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=complain, short_help="(can't be loaded)", context_settings=anything)
