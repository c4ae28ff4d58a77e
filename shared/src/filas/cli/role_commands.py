"""`filas roles`: the roles of Postgres."""

import asyncio
import os

import click

from filas.cli.api_client import CommandFailed
from filas.cli.credentials import WrongSetting
from filas.errors import SettingsError
from filas.repository import roles as repository
from filas.settings.setting_groups import PostgresSettings, RoleSettings
from filas.settings.settings_reader import load


@click.group()
def roles() -> None:
    """The roles of Postgres: filas_migrate, filas_write and filas_read."""


@roles.command()
def create() -> None:
    """Create the roles with the passwords of POSTGRES_{MIGRATE,WRITE,READ}_PASSWORD. Safe to run again.

    DATABASE_URL is that of a superuser, or of a user that may create roles and owns the database.
    """
    try:
        settings = load(PostgresSettings, os.environ)
        given = load(RoleSettings, os.environ)
    except SettingsError as error:
        raise WrongSetting(str(error)) from None
    passwords = {
        repository.MIGRATE: given.postgres_migrate_password.reveal(),
        repository.WRITE: given.postgres_write_password.reveal(),
        repository.READ: given.postgres_read_password.reveal(),
    }
    try:
        asyncio.run(repository.create_roles(settings.database_url.reveal(), passwords))
    except Exception as error:  # of the driver, the network or the rights of the user: its reason is shown
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, TimeoutError):
            reason = "Postgres does not answer"
        raise CommandFailed(f"the roles cannot be created: {reason}") from None
    click.echo(f"the roles {', '.join(repository.ROLES)} exist")
