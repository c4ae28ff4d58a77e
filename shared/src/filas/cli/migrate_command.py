"""`filas migrate`: brings a database to this version's schema."""

import asyncio
import os

import click

from filas.cli.api_client import Refused, WrongSetting
from filas.errors import SettingsError
from filas.repository import migrate as migrations
from filas.settings.process_settings import PostgresSettings, load


@click.command()
@click.option(
    "--phase",
    type=click.Choice(["pre", "all"]),
    default="all",
    show_default=True,
    help="pre: only what this version needs, while older processes still run; all: also what those had to go for",
)
def migrate(phase: migrations.Phase) -> None:
    """Bring the database at DATABASE_URL to this version's schema. May be run at any time, and by several at once."""
    try:
        settings = load(PostgresSettings, os.environ)
    except SettingsError as error:
        raise WrongSetting(str(error)) from None
    try:
        version = asyncio.run(migrations.migrate(settings.database_url.reveal(), phase=phase))
    except Exception as error:  # the driver's, the network's or a migration's: the reason is all that helps here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Refused(f"the database can't be migrated: {reason}") from None
    click.echo(f"the schema is at {version}")
