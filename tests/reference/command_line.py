"""The help texts of the command line `filas`."""

from collections.abc import Iterator

import click

from filas.cli import program

WIDTH = 100


def page() -> str:
    """The help of every command, in the order of their names."""
    sections = []
    filas = program()
    names = filas.context_settings["help_option_names"]
    for name, command in commands("filas", filas):
        context = click.Context(
            command, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH, help_option_names=names
        )
        heading = "##" if name.count(" ") < 2 else "###"
        text = command.get_help(context).rstrip()
        sections.append(f"{heading} `{name}`\n\n```text\n{text}\n```\n")
    return "\n".join(sections)


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The command and those below it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from commands(f"{name} {below}", found)
