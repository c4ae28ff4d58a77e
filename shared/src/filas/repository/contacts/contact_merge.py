"""Merges contacts that turn out to be one, with their conversations: one transaction.

| what                              | afterwards                                                                       |
|-----------------------------------|----------------------------------------------------------------------------------|
| contacts                          | the oldest one remains; the others name it in `merged_into`                      |
| aliases                           | those of all contacts lead to the one that remains                               |
| conversations with one account    | the oldest one remains; the others name it in `merged_into`, so ids stay valid   |
| variables                         | those of all conversations; of two values, that of the conversation changed last |
| unfinished executions             | belong to the conversation that remains, so the next message finds a question    |
| open questions                    | the one that was asked last supersedes the others                                |
| ended executions, notifications   | keep the id that they have                                                       |

An execution that runs has read its conversation's variables and will write all of them. So a merge waits (RetryLater)
until no execution of the conversations runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from filas.errors import RetryLater
from filas.observability.logs import get_logger
from filas.repository.contacts import contact_sql as sql
from filas.repository.postgres.database import Connection
from filas.repository.postgres.json_columns import from_json, to_json

RUNNING_WAIT_S: Final = 0.5
"""When a merge is tried again while an execution of the contact runs, in seconds."""

_log = get_logger("filas.repository")


async def merge(connection: Connection, contact_ids: Sequence[UUID], unlinked: Sequence[UUID] = ()) -> None:
    """Merges the contacts, and conversations without a contact (`unlinked`), in the transaction of `connection`.

    Raises RetryLater, which uses no attempt, while an execution of one of them runs.
    """
    contacts = await connection.fetch(sql.LOCK_CONTACTS, list(contact_ids))
    ids = [row["id"] for row in await connection.fetch(sql.CONVERSATIONS_OF, list(contact_ids), list(unlinked))]
    executions = await connection.fetch(sql.LOCK_EXECUTIONS, ids)
    if any(row["runs"] for row in executions):
        raise RetryLater("an execution of the contact runs", delay_s=RUNNING_WAIT_S, uses_attempt=False)
    conversations = await connection.fetch(sql.LOCK_CONVERSATIONS, ids)
    if not contacts:
        return
    kept = min(contacts, key=lambda row: (row["created_at"], row["id"]))
    losers = [row["id"] for row in contacts if row["id"] != kept["id"]]
    for group in _by_account(conversations):
        await _merge_conversations(connection, kept["id"], group, [row["id"] for row in contacts])
    if losers:
        await connection.execute(sql.MOVE_ALIASES, losers, kept["id"])
        await connection.execute(sql.MERGE_CONTACTS, losers, kept["id"])
        await connection.execute(sql.REDIRECT_CONTACTS, losers, kept["id"])
        newest = max(contacts, key=lambda row: (row["updated_at"], row["id"]))
        await connection.execute(sql.SET_ADDRESS, kept["id"], newest["address"])
        _log.info("contacts.merged", contact_id=str(kept["id"]), merged=[str(one) for one in losers])


def _by_account(conversations: Iterable[asyncpg.Record]) -> list[list[asyncpg.Record]]:
    """The conversations in groups of one account, each in the order of time. A conversation without an account belongs
    to the only account, if there is one only."""
    groups: dict[str | None, list[asyncpg.Record]] = {}
    for row in sorted(conversations, key=lambda row: (row["created_at"], row["id"])):
        groups.setdefault(row["account"], []).append(row)
    named = [account for account in groups if account is not None]
    if None in groups and len(named) == 1:
        both = groups.pop(None) + groups[named[0]]
        groups[named[0]] = sorted(both, key=lambda row: (row["created_at"], row["id"]))
    return list(groups.values())


async def _merge_conversations(
    connection: Connection, contact: UUID, group: Sequence[asyncpg.Record], contact_ids: Sequence[UUID]
) -> None:
    kept, losers = group[0], [row["id"] for row in group[1:]]
    account = next((row["account"] for row in group if row["account"] is not None), None)
    await connection.execute(sql.KEEP_CONVERSATION, kept["id"], contact, account, to_json(_merged_vars(group)))
    if losers:
        await connection.execute(sql.MERGE_CONVERSATIONS, losers, kept["id"], contact)
        await connection.fetch(sql.MOVE_EXECUTIONS, losers, [kept["id"]] * len(losers))
        await connection.execute(sql.SUPERSEDE_QUESTIONS, kept["id"])
    await connection.execute(sql.REDIRECT_CONVERSATIONS, list(contact_ids), losers, kept["id"], contact)


def _merged_vars(group: Iterable[asyncpg.Record]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for row in sorted(group, key=lambda row: row["updated_at"]):
        values = from_json(row["vars"])
        if isinstance(values, dict):
            merged |= values
    return merged
