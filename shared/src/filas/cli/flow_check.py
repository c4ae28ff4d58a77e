"""`filas flow check`: apart from the other flow commands, because it needs the template and pattern engines."""

import click

from filas.cli.client import Refused
from filas.cli.documents import read_object
from filas.cli.output import as_json, show_json, show_problems
from filas.flows import checks


@click.command()
@click.argument("file")
@as_json
def check(file: str, as_json: bool) -> None:
    """Report every error of the flow in FILE (JSON; `-`: standard input), without asking a server."""
    _, found = checks.check(read_object(file))
    problems = [{"nodeId": item.node_id, "field": item.field, "message": item.message} for item in found]
    if as_json:
        show_json(problems)
    else:
        show_problems(problems)
    if problems:
        raise Refused(f"{file} has {len(problems)} error{'s' if len(problems) > 1 else ''}")
    if not as_json:
        click.echo(f"{file} is well formed")
