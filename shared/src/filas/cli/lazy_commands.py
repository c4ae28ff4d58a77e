"""Groups of commands: imported when they are called, with older names, and with a command for a bare noun."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group with commands that are given by their address (`module:attribute`), so that each call imports only what
    it needs.

    `aliases` are older names of commands, each with the present one (`clean`: `queues clean`). They work, but are not
    listed. `default` is the command that runs if none is
    named (`filas jobs flow` is `filas jobs list flow`).
    """

    def __init__(
        self,
        *args: Any,
        addresses: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        default: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.addresses = dict(addresses or {})
        self.aliases = dict(aliases or {})
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Names the default command if the arguments name none."""
        first = args[0] if args else ""
        named = {*ctx.help_option_names, *self.aliases, *self.list_commands(ctx)}
        if self.default is not None and first not in named:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands, without older names."""
        return sorted({*super().list_commands(ctx), *self.addresses})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns the command, or None. A command that cannot be imported reports that when it runs."""
        name, _, below = self.aliases.get(cmd_name, cmd_name).partition(" ")
        if below:
            group = self.get_command(ctx, name)
            return group.get_command(ctx, below) if isinstance(group, click.Group) else group
        address = self.addresses.get(name)
        if address is None:
            return super().get_command(ctx, name)
        module, _, attribute = address.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            return _broken(name, str(error))
        return command if isinstance(command, click.Command) else _broken(name, f"{address} is not a command")


def _broken(name: str, reason: str) -> click.Command:
    def report(**_: Any) -> None:
        raise click.ClickException(f"the command {name} cannot be loaded: {reason}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=report, short_help="(cannot be loaded)", context_settings=anything)
