"""Contacts: found by any of their addresses, created with their first conversation, merged when they are the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from filas.contacts.canonical_address import medium_of
from filas.errors import RetryLater
from filas.models.contacts import (
    Contact,
    ContactConversation,
    ContactWithConversations,
    FoundConversation,
    ReportedContact,
)
from filas.repository.contacts import contact_sql as sql
from filas.repository.contacts.contact_changes import Changes, Known, add_changes, aliases_of, known_of, old_ids_of
from filas.repository.contacts.contact_merge import RUNNING_WAIT_S, merge
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Connection, Database

MAX_RUNS: Final = 4
"""How often contacts are looked up: before and after a change, and after a change of another worker."""

MAX_ALIASES: Final = 100
MAX_CONVERSATIONS: Final = 100
FIRST: Final = UUID(int=0)

Fetch: TypeAlias = Callable[..., Awaitable[list[asyncpg.Record]]]
Merge: TypeAlias = Callable[[Sequence[UUID]], Awaitable[None]]
Answer: TypeAlias = FoundConversation | RetryLater | None


class ContactRepository:
    """The tables `contacts` and `contact_aliases`, and the conversations of contacts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked = LockedItems[ReportedContact]("contacts", "find", lambda one: (one.channel, one.address))

    async def find_many(self, reports: Sequence[ReportedContact]) -> list[FoundConversation | BaseException | None]:
        """The conversation of each reported contact. One statement, if all of them are known.

        A report that `begins` creates what does not exist. Addresses that are reported together become aliases of one
        contact; if they belong to several, these are merged. The result is None if the report begins nothing, a
        RetryLater without a used attempt while an execution of contacts to be merged runs, and a StoreBusy or an
        Unstorable if nothing could be written.
        """
        return [*await write_bisected(reports, self._find, self._locked)]

    async def _find(self, reports: Sequence[ReportedContact]) -> list[Answer]:
        return await _find(self._database.fetch, reports, self._merge)

    async def _merge(self, contact_ids: Sequence[UUID]) -> None:
        async with self._database.transaction() as connection:
            await merge(connection, contact_ids)

    async def link_old(self, after: UUID, limit: int) -> tuple[int, UUID | None]:
        """Links the next conversations of older versions to their contacts, and merges those of one contact.

        Returns how many of them have a contact now, and the id after which the next call continues, None at the end.
        """
        rows = await self._database.fetch(sql.UNLINKED, after, limit)
        types = await self._types({row["channel"] for row in rows})
        linked = 0
        for row in rows:
            linked += await self._link(row, types)
        return linked, rows[-1]["id"] if len(rows) == limit else None

    async def _link(self, row: asyncpg.Record, types: dict[str, str]) -> bool:
        channel, contact = row["channel"], row["contact"]
        medium = medium_of(channel, types.get(channel))
        report = ReportedContact(channel=channel, address=contact, medium=medium)
        [found] = await self.find_many([report])
        if not isinstance(found, FoundConversation):
            return False
        if found.id == row["id"]:
            return True
        try:
            async with self._database.transaction() as connection:
                await merge(connection, [found.contact_id], [row["id"]])
        except RetryLater:  # an execution runs; a later call merges the conversation
            return False
        return True

    async def move_executions(self, after: UUID, limit: int) -> UUID | None:
        """Moves unfinished executions out of conversations that have become a part of others. An older version may
        have begun them there. Returns the id after which the next call continues, None at the end."""
        rows = await self._database.fetch(sql.MERGED, after, limit)
        if rows:
            ids, into = [row["id"] for row in rows], [row["merged_into"] for row in rows]
            await self._database.fetch(sql.MOVE_EXECUTIONS, ids, into)
        return rows[-1]["id"] if len(rows) == limit else None

    async def get(self, contact_id: UUID) -> ContactWithConversations | None:
        """The contact with its aliases and conversations, or the one that it was merged into. None if there is none."""
        row = await self._database.fetchrow(sql.GET, contact_id)
        if row is None:
            return None
        aliases = await self._database.fetch(sql.ALIASES, row["id"], MAX_ALIASES)
        conversations = await self._database.fetch(sql.CONVERSATIONS, row["id"], MAX_CONVERSATIONS)
        return ContactWithConversations(
            **{name: row[name] for name in Contact.__struct_fields__},
            aliases=[one["alias"] for one in aliases],
            conversations=[ContactConversation(**one) for one in conversations],
        )

    async def _types(self, channels: set[str]) -> dict[str, str]:
        rows = await self._database.fetch(sql.CHANNEL_TYPES, list(channels)) if channels else []
        return {row["id"]: row["type"] for row in rows}


async def conversations_on(
    connection: Connection, named: Sequence[tuple[str, str] | None]
) -> list[FoundConversation | None]:
    """The conversation of each (channel, contact), in the transaction of `connection`; None for None."""
    known = [one for one in named if one is not None]
    if not known:
        return [None] * len(named)
    rows = await connection.fetch(sql.CHANNEL_TYPES, [channel for channel, _ in known])
    types = {row["id"]: row["type"] for row in rows}
    reports = [
        ReportedContact(channel=channel, address=contact, medium=medium_of(channel, types.get(channel)))
        for channel, contact in known
    ]
    found = iter(await _find(connection.fetch, reports, None))
    answers = [None if one is None else next(found) for one in named]
    return [one if isinstance(one, FoundConversation) else None for one in answers]


async def _find(fetch: Fetch, reports: Sequence[ReportedContact], merge_contacts: Merge | None) -> list[Answer]:
    answers: dict[int, Answer] = {}
    aliases = [aliases_of(report) for report in reports]
    pending = list(range(len(reports)))
    for run in range(MAX_RUNS):
        known = known_of(await fetch(sql.FIND, *_asked(reports, aliases, pending)))
        merged = await _merge_split(known, answers, merge_contacts)
        settled = [index for index in pending if index not in merged and index not in answers]
        without = [index for index in settled if index not in known or not known[index].conversations]
        # Nearly always there is none, and then the statement of the first run finds that out by itself.
        unlinked = None if run == 0 else await _unlinked(fetch, reports, aliases, without)
        changes, expected = Changes(), dict[int, Answer]()
        for index in settled:
            one = reports[index]
            found = add_changes(changes, one, aliases[index], known.get(index) or Known(), unlinked, again=run > 1)
            if not one.begins:
                answers[index] = None
            elif found is not None:
                (answers if found.written else expected)[index] = found.conversation
        if changes and (await fetch(sql.LEARN, *changes.columns()))[0]["all_new"]:
            answers |= expected
        pending = [index for index in pending if index not in answers]
        if not pending:
            break
    for index in pending:
        answers[index] = RetryLater("another worker changes the contact", delay_s=RUNNING_WAIT_S, uses_attempt=False)
    return [answers[index] for index in range(len(reports))]


async def _merge_split(
    known: dict[int, Known], answers: dict[int, Answer], merge_contacts: Merge | None
) -> frozenset[int]:
    """Merges the contacts of the reports that name several. Returns these reports, to be looked up again. The answer of
    one whose contacts cannot be merged now is a RetryLater."""
    split = [index for index, found in known.items() if len(found.addresses) > 1]
    if merge_contacts is None:
        return frozenset(split)
    for index in split:
        try:
            await merge_contacts(known[index].contact_ids)
        except RetryLater as error:
            answers[index] = error
    return frozenset(split)


async def _unlinked(
    fetch: Fetch, reports: Sequence[ReportedContact], aliases: Sequence[Sequence[str]], wanted: Sequence[int]
) -> dict[UUID, str]:
    """The conversations of older versions that may belong to the reports with the numbers `wanted`."""
    ids = [one for index in wanted if reports[index].begins for one in old_ids_of(reports[index], aliases[index])]
    return {row["id"]: row["contact"] for row in await fetch(sql.FIND_UNLINKED, ids)} if ids else {}


def _asked(
    reports: Sequence[ReportedContact], aliases: Sequence[Sequence[str]], pending: Sequence[int]
) -> tuple[list[Any], list[Any], list[Any]]:
    rows = [(index, reports[index].channel, alias) for index in pending for alias in aliases[index]]
    return [one[0] for one in rows], [one[1] for one in rows], [one[2] for one in rows]
