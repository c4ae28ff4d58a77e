"""The version of a database's schema, and the version that this code needs.

Migrations are the numbered `.sql` files in `migrations/`. `0002_name.pre.sql` must run before the code that needs it.
`0002_name.post.sql` (a dropped column, for example) must run after the last process of the older code has ended. The
code requires all `pre` migrations, and runs with or without the `post` ones. `-- transaction: false` above the
statements marks a file whose indexes are built concurrently (see `filas.repository.migration_runs`).
"""

import re
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

CONNECT_TIMEOUT_S: Final = 5.0
"""How long a session that is opened for one purpose may take to connect. The driver's default is a minute."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_NAME = re.compile(r"(?P<number>\d{4})_\w+\.(?P<phase>pre|post)")

_HAS_RECORD = "select to_regclass('public._pogo_migration') is not null"
_APPLIED = "select migration_id from public._pogo_migration where schema_name = 'public'"

AnyConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


def required_version() -> int:
    """The number of the newest `pre` migration: what a database must have for this code to run."""
    return max(pre_number(path.stem) for path in MIGRATIONS.glob("*.sql"))


async def current_version(connection: AnyConnection) -> int:
    """The number of the newest `pre` migration of this code that was applied with all before it, 0 if none.

    Migrations that this code does not know were applied by a newer version. They are additive and do not count.
    """
    if not await connection.fetchval(_HAS_RECORD):
        return 0
    applied = {row["migration_id"] for row in await connection.fetch(_APPLIED)}
    version = 0
    for migration_id in sorted(path.stem for path in MIGRATIONS.glob("*.pre.sql")):
        if migration_id not in applied:
            break
        version = pre_number(migration_id)
    return version


def pre_number(migration_id: str) -> int:
    """The number in a migration's id (the name of its file without `.sql`). 0 for a `post` migration."""
    match = _NAME.fullmatch(migration_id)
    return int(match["number"]) if match and match["phase"] == "pre" else 0
