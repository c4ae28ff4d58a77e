"""`filas migrate`: migrates a database to the schema of this version."""

import asyncio
import os

import click

from filas.cli.api_client import CommandFailed
from filas.cli.credentials import WrongSetting
from filas.errors import SettingsError
from filas.repository import migrate as migrations
from filas.settings.setting_groups import PostgresSettings
from filas.settings.settings_reader import load


@click.command()
@click.option(
    "--phase",
    type=click.Choice(["pre", "all"]),
    default="all",
    show_default=True,
    help="pre: only the steps that are safe while older processes run; all: also the later steps",
)
def migrate(phase: migrations.Phase) -> None:
    """Migrate the database at DATABASE_URL to the schema of this version.

    Safe to run again, concurrently, and while the services run: they never wait longer than two seconds for it.
    Standard error shows which sessions it waits for.
    """
    try:
        settings = load(PostgresSettings, os.environ)
    except SettingsError as error:
        raise WrongSetting(str(error)) from None
    try:
        version = asyncio.run(migrations.migrate(settings.database_url.reveal(), phase=phase, report=_report))
    except Exception as error:  # of the driver, the network or a migration: its reason is shown
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, TimeoutError):
            reason = "Postgres does not answer"
        raise CommandFailed(f"the database cannot be migrated: {reason}") from None
    click.echo(f"the schema is at {version}")


def _report(line: str) -> None:
    click.echo(line, err=True)
