"""The secrets that flows use as `secrets.<name>`. The values are encrypted (`filas.crypto.secret_box`)."""

from typing import Final

from filas.repository.postgres.database import Database

STORE: Final = """
insert into secrets (name, value) values ($1, $2)
on conflict (name) do update set value = excluded.value, updated_at = now()"""
DELETE: Final = "delete from secrets where name = $1 returning name"
NAMES: Final = "select name from secrets order by name"
GET: Final = "select value from secrets where name = $1"
ALL: Final = "select name, value from secrets"


class SecretRepository:
    """The table `secrets`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, name: str, sealed: str) -> None:
        """Creates or replaces the secret with this name. `sealed` is the encrypted value, or `env:NAME`."""
        await self._database.fetch(STORE, name, sealed)

    async def delete(self, name: str) -> bool:
        """Deletes the secret. False if there was none."""
        return await self._database.fetchrow(DELETE, name) is not None

    async def get(self, name: str) -> str | None:
        """The stored value of the secret, or None."""
        value: str | None = await self._database.fetchval(GET, name)
        return value

    async def names(self) -> list[str]:
        """The names of all secrets, in order."""
        return [row["name"] for row in await self._database.fetch(NAMES)]

    async def all(self) -> dict[str, str]:
        """The stored value of every secret, by name."""
        return {row["name"]: row["value"] for row in await self._database.fetch(ALL)}
