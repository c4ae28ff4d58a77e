"""Signed tokens that are no longer valid although they have not expired (table `revoked_tokens`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from filas.repository.postgres.database import Database

TokenKind = Literal["session", "link"]

# The day allows for clocks that differ: a token is checked by the clock of a process.
REVOKE: Final = """
with expired as (delete from revoked_tokens where expires_at < now() - interval '1 day')
insert into revoked_tokens (id, kind, expires_at)
select id, $2, expires_at from unnest($1::uuid[], $3::timestamptz[]) as new (id, expires_at)
on conflict (id) do nothing
returning id"""

REVOKED: Final = "select id from revoked_tokens where kind = $1"


class RevokedTokenRepository:
    """The table `revoked_tokens`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, kind: TokenKind, tokens: Sequence[tuple[UUID, datetime]]) -> set[UUID]:
        """Revokes the tokens, each given by its id and its expiry. Returns the ids of those that were valid: of several
        calls for one token, one returns it."""
        ids, expiries = [one for one, _ in tokens], [expiry for _, expiry in tokens]
        return {row["id"] for row in await self._database.fetch(REVOKE, ids, kind, expiries)}

    async def revoked(self, kind: TokenKind) -> set[UUID]:
        """The ids of all revoked tokens of this kind that may not have expired yet."""
        return {row["id"] for row in await self._database.fetch(REVOKED, kind)}
