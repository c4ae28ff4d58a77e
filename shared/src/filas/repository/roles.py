"""The three roles of Postgres, so that no process has more rights than it needs.

| role | rights | who has it |
|---|---|---|
| `filas_migrate` | owns the schema: it may create, change and drop tables | `filas migrate` |
| `filas_write` | reads and writes rows | the five processes |
| `filas_read` | reads rows, without the tables in HIDDEN_FROM_READ | the searches of `ingest admin` |

The roles are optional: a database whose schema `filas_migrate` does not own has one user that may do everything.
`create_roles` creates the roles; `filas migrate` calls `grant` after the migrations, which covers new tables.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from filas.errors import FilasError
from filas.models.access import CREATE_ROLES
from filas.repository.access import audit
from filas.repository.schema import CONNECT_TIMEOUT_S

MIGRATE: Final = "filas_migrate"
WRITE: Final = "filas_write"
READ: Final = "filas_read"
ROLES: Final = (MIGRATE, WRITE, READ)

HIDDEN_FROM_READ: Final = frozenset({"secrets", "webhooks", "channels", "api_keys"})
"""The tables with stored secrets, encrypted or not, and with the hashes of keys."""

MIGRATION_RECORD: Final = "_pogo_migration"
LOCK_TIMEOUT_S: Final = 2.0
LOCK_ATTEMPTS: Final = 30
_SCRAM_ITERATIONS: Final = 4096

Connection: TypeAlias = "asyncpg.Connection[Any]"

_FOUND_ROLES = "select rolname, rolsuper from pg_roles where rolname = any($1)"
_IS_SUPERUSER = "select rolsuper from pg_roles where rolname = current_user"
_DATABASE = "select quote_ident(current_database())"
_SCHEMA_OWNER = "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'public'"
_MAY_ACT_AS_OWNER = "select pg_has_role(current_user, $1, 'member')"

# Everything in the schema that another role owns. A sequence of a column follows its table; an extension's objects are
# not ours.
_OTHERS_OBJECTS = """
    select format('alter %s %s owner to %I', case c.relkind
               when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
           c.oid::regclass, $1::text)
      from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
       and c.relowner <> $1::regrole
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                         and d.deptype in ('e', 'a', 'i'))
    union all
    select format('alter routine %s owner to %I', p.oid::regprocedure, $1::text)
      from pg_proc p
     where p.pronamespace = 'public'::regnamespace and p.proowner <> $1::regrole
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                         and d.deptype = 'e')
"""

_TABLE_PRIVILEGES = """
    select c.relname, c.oid::regclass::text as name,
           array(select p from unnest(array['select', 'insert', 'update', 'delete']) p
                  where has_table_privilege($1, c.oid, p)) as held
      from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
"""

# In a `case`, because the planner may otherwise call the function for a table, which is an error.
_SEQUENCES = """
    select c.oid::regclass::text as name from pg_class c
     where c.relnamespace = 'public'::regnamespace
       and case when c.relkind = 'S' then not has_sequence_privilege($1, c.oid, 'usage') else false end
"""

_READ_ROWS: Final = ("select",)
_WRITE_ROWS: Final = ("select", "insert", "update", "delete")


class RolesNotCreated(FilasError):
    """The roles cannot be created as requested; the message states why."""


async def create_roles(dsn: str, passwords: Mapping[str, str]) -> None:
    """Creates the roles in the server of `dsn`, and gives them the database of `dsn`. Safe to run again.

    `dsn` is of a superuser, or of a user that may create roles and owns the database. `passwords` has the password of
    each role; a role without one cannot log in with a password. Tables that exist already get `filas_migrate` as their
    owner. Raises RolesNotCreated, or the driver's error.
    """
    verifiers = {role: _scram_verifier(role, password) for role, password in passwords.items()}
    async with _connection(dsn) as connection:
        await _create(connection, verifiers)
        await _open_database(connection)
        await _take_ownership(connection)
        await act_as_owner(connection)
        await grant(connection)
        await audit.record_command(connection, CREATE_ROLES, "database", None, {"roles": ROLES})


async def act_as_owner(connection: Connection) -> None:
    """Makes the session that of `filas_migrate`, if that role owns the schema and the session's user is a member of it.

    Otherwise a table that a superuser creates would belong to the superuser, and no role could use it.
    """
    owner = await connection.fetchval(_SCHEMA_OWNER)
    if owner == MIGRATE and await connection.fetchval(_MAY_ACT_AS_OWNER, MIGRATE):
        await connection.execute(f"set role {MIGRATE}")


async def grant(connection: Connection) -> None:
    """Gives each role the rights of the table above, on the present tables and on those that later migrations create.

    Does nothing if the session's role does not own the schema as `filas_migrate`. Rights that a role has already are
    not granted again, because a grant invalidates the plans of every session.
    """
    if await connection.fetchval("select current_user") != MIGRATE:
        return
    for role in await _existing(connection, (WRITE, READ)):
        async with connection.transaction():
            for statement in [*await _table_grants(connection, role), *await _default_grants(connection, role)]:
                await connection.execute(statement)


async def _table_grants(connection: Connection, role: str) -> list[str]:
    statements = []
    for row in await connection.fetch(_TABLE_PRIVILEGES, role):
        wanted = _wanted(role, row["relname"])
        if set(wanted) != set(row["held"]):
            statements.append(f"revoke all on {row['name']} from {role}")
            statements += [f"grant {', '.join(wanted)} on {row['name']} to {role}"] if wanted else []
    return statements


def _wanted(role: str, table: str) -> Sequence[str]:
    if role == READ:
        return () if table in HIDDEN_FROM_READ else _READ_ROWS
    return _READ_ROWS if table == MIGRATION_RECORD else _WRITE_ROWS


async def _default_grants(connection: Connection, role: str) -> list[str]:
    if role != WRITE:
        # A new table may contain secrets, so the role that reads gets it from `grant`, which knows the hidden ones.
        return []
    rows = ", ".join(_WRITE_ROWS)
    missing = await connection.fetch(_SEQUENCES, role)
    return [
        *(f"grant usage, select on sequence {row['name']} to {role}" for row in missing),
        f"alter default privileges in schema public grant {rows} on tables to {role}",
        f"alter default privileges in schema public grant usage, select on sequences to {role}",
    ]


async def _create(connection: Connection, verifiers: Mapping[str, str]) -> None:
    existing = await _existing(connection, ROLES)
    if superusers := [role for role, is_superuser in existing.items() if is_superuser]:
        raise RolesNotCreated(f"{superusers[0]} is a superuser: run `alter role {superusers[0]} nosuperuser` first")
    for role in ROLES:
        verb = "alter" if role in existing else "create"
        # The server's log may contain the statement, so it has the password's verifier and not the password.
        password = f" password '{verifiers[role]}'" if role in verifiers else ""
        await connection.execute(f"{verb} role {role} login{password}")
    # As a member, `filas_migrate` sees which statements of the processes a migration waits for.
    await connection.execute(f"grant {WRITE}, {READ} to {MIGRATE}")
    if await connection.fetchval(_IS_SUPERUSER):
        # The doctor reports transactions of any program that hold up the processes, without their statements' texts.
        await connection.execute(f"grant pg_read_all_stats to {WRITE}")
    else:
        await connection.execute(f"grant {MIGRATE} to current_user")


async def _open_database(connection: Connection) -> None:
    """Lets the roles into the database and its schema, and every other role out of it."""
    database = await connection.fetchval(_DATABASE)
    roles = ", ".join(ROLES)
    for statement in (
        f"revoke all on database {database} from public",
        f"grant connect on database {database} to {roles}",
        f"grant create, temporary on database {database} to {MIGRATE}",
        f"alter schema public owner to {MIGRATE}",
        "revoke all on schema public from public",
        f"grant usage on schema public to {roles}",
    ):
        await connection.execute(statement)


async def _take_ownership(connection: Connection) -> None:
    """Each table is changed in a transaction of its own: processes that run at the same time wait for one table."""
    await connection.execute(f"set lock_timeout = {round(LOCK_TIMEOUT_S * 1000)}")
    for row in await connection.fetch(_OTHERS_OBJECTS, MIGRATE):
        await _with_lock(connection, row[0])


async def _with_lock(connection: Connection, statement: str) -> None:
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            await connection.execute(statement)
            return
        except asyncpg.LockNotAvailableError:
            if attempt == LOCK_ATTEMPTS:
                raise
            await asyncio.sleep(1.0)


async def _existing(connection: Connection, roles: Iterable[str]) -> dict[str, bool]:
    """The roles that exist, with whether they are superusers."""
    return {row["rolname"]: row["rolsuper"] for row in await connection.fetch(_FOUND_ROLES, list(roles))}


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        await connection.close()


def _scram_verifier(role: str, password: str) -> str:
    """What Postgres stores for a password (RFC 5803), as `\\password` of psql computes it."""
    if not password.isascii() or not password.isprintable():
        # Other characters must be normalized before they are hashed.
        raise RolesNotCreated(f"the password of {role} contains characters that are not ASCII")
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
