"""The environment variables that stored definitions name as `env:NAME`."""

from typing import Final, NamedTuple

from filas.repository.postgres.database import Database

# `json` is read as text: nothing here looks into a value that came from outside.
ALL: Final = """
select distinct kind, id, name from (
    select 'webhook' as kind, id, (regexp_matches(auth::text, '"env:([^"]*)"', 'g'))[1] as name
    from webhooks where not deleted
    union all
    select 'channel', id, (regexp_matches(config::text, '"env:([^"]*)"', 'g'))[1] from channels where not deleted
    union all
    select 'secret', name, substr(value, 5) from secrets where value like 'env:%'
) named order by kind, id, name limit $1"""

MAX_ROWS: Final = 1000


class SecretReference(NamedTuple):
    """The definition `kind` (`webhook`, `channel` or `secret`) with this id names this variable."""

    kind: str
    id: str
    variable: str


class SecretReferenceRepository:
    """What the tables `webhooks`, `channels` and `secrets` name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[SecretReference]:
        """The first MAX_ROWS references, in order."""
        rows = await self._database.fetch(ALL, MAX_ROWS)
        return [SecretReference(row["kind"], row["id"], row["name"]) for row in rows]
