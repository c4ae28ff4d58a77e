"""Reads conversations: searches them, and shows the messages of one as a thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from filas.contacts.typed_contact import last_digits, possible_aliases
from filas.models.conversations import (
    Conversation,
    ConversationExecution,
    ConversationMessage,
    ConversationThread,
    ConversationWait,
)
from filas.models.record import Page
from filas.repository.conversations import conversation_sql as sql
from filas.repository.conversations.message_texts import decoded, has_words, incoming_message, json_part_of, text_of
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail

Position: TypeAlias = tuple[datetime, UUID]

NEWEST: Final[Position] = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
"""Before the first row of a list."""

WINDOW: Final = 500
"""How many executions one statement of a search examines."""

SEARCH_S: Final = 1.0
"""After this time a search returns what it has found, with a cursor at which the next page continues."""

COMPARED_TOGETHER: Final = 20
"""In how many conversations one statement looks for words, so that no statement takes long."""

MAX_FOUND: Final = 500
MESSAGES_COMPARED: Final = 2000
EXECUTIONS_COMPARED: Final = 200
"""How many of the newest executions of a conversation a search for words examines."""

EXECUTIONS_SHOWN: Final = 50
WAITS_SHOWN: Final = 100
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """The filters of a search; a conversation matches all that are given. `contact`: an address in any form, or the
    last digits of a number. `words`: all of them are in one of its messages."""

    contact: str | None = None
    channel: str | None = None
    words: Sequence[str] = ()


class ConversationRepository:
    """The conversations, for readers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, wanted: ConversationFilter, *, cursor: str | None, limit: int) -> Page:
        """Conversations, those with the newest execution first. Raises InvalidCursor and StoreUnavailable.

        A page may have fewer than `limit` conversations, or none, although more follow: a search ends after SEARCH_S.
        Without `contact`, only conversations with an execution are listed.
        """
        limit = paging.bounded(limit)
        position = NEWEST if cursor is None else paging.position_of(cursor)
        if wanted.contact is not None:
            return await self._of_contact(wanted, wanted.contact, position, limit)
        return await self._recent(wanted, position, limit)

    async def _recent(self, wanted: ConversationFilter, position: Position, limit: int) -> Page:
        until = time.monotonic() + SEARCH_S
        found: list[UUID] = []
        while True:
            rows = await self._database.fetch(sql.RECENT, *position, WINDOW)
            for first in range(0, len(rows), COMPARED_TOGETHER):
                part = rows[first : first + COMPARED_TOGETHER]
                listed = [row for row in part if row["newest"] and wanted.channel in (None, row["channel"])]
                matching = await self._with_words([row["canonical_id"] for row in listed], wanted.words)
                for row in listed:
                    if row["canonical_id"] in matching:
                        found.append(row["canonical_id"])
                    if len(found) == limit:
                        return Page(items=await self._shown(found), next_cursor=_cursor(row))
                if time.monotonic() > until:
                    return Page(items=await self._shown(found), next_cursor=_cursor(part[-1]))
            if len(rows) < WINDOW:
                return Page(items=await self._shown(found))
            position = rows[-1]["queued_at"], rows[-1]["id"]

    async def _of_contact(self, wanted: ConversationFilter, typed: str, position: Position, limit: int) -> Page:
        """At most MAX_FOUND conversations match, so they are ordered here."""
        ends = [digits[::-1] for digits in last_digits(typed)]
        arguments = possible_aliases(typed), ends, [end + _LAST for end in ends], MAX_FOUND
        rows = await self._database.fetch(sql.OF_CONTACT, *arguments)
        shown = [one for one in await self._shown(row["id"] for row in rows) if wanted.channel in (None, one.channel)]
        shown.sort(key=_place, reverse=True)
        matching = await self._with_words([one.id for one in shown], wanted.words)
        left = [one for one in shown if one.id in matching and _place(one) < position]
        more = len(left) > limit
        return Page(items=left[:limit], next_cursor=paging.cursor_at(*_place(left[limit - 1])) if more else None)

    async def _shown(self, conversation_ids: Iterable[UUID]) -> list[Conversation]:
        rows = await self._database.fetch(sql.SHOW, list(conversation_ids))
        return [Conversation(**row) for row in rows]

    async def _with_words(self, conversation_ids: Sequence[UUID], words: Sequence[str]) -> set[UUID]:
        """Those of the conversations in which one message has all words."""
        if not words or not conversation_ids:
            return set(conversation_ids)
        written = [json_part_of(word) for word in words]
        limits = EXECUTIONS_COMPARED, sql.LARGEST_CONTENT, MESSAGES_COMPARED
        matching: set[UUID] = set()
        for first in range(0, len(conversation_ids), COMPARED_TOGETHER):
            part = list(conversation_ids[first : first + COMPARED_TOGETHER])
            rows = await self._database.fetch(sql.WITH_WORDS, part, written, *limits)
            for row in rows:
                message = incoming_message(row["content"]) if row["incoming"] else decoded(row["content"])
                if has_words(text_of(message), list(words)):
                    matching.add(row["id"])
        return matching

    async def get(
        self, conversation_id: UUID, *, cursor: str | None, limit: int
    ) -> tuple[ConversationThread, str | None] | None:
        """The conversation, or the one that it was merged into, with a page of its messages (the newest first) and the
        cursor of the next page. None if it does not exist. Raises InvalidCursor and StoreUnavailable."""
        limit = paging.bounded(limit)
        position = NEWEST if cursor is None else paging.position_of(cursor)
        canonical = await self._database.fetchval(sql.CANONICAL, conversation_id)
        shown = [] if canonical is None else await self._shown([canonical])
        if not shown:
            return None
        merged = await self._database.fetch(sql.MEMBERS, canonical, sql.MAX_MEMBERS)
        members = [canonical, *(row["id"] for row in merged)]
        arguments = (members, *position, limit + 1, sql.LARGEST_CONTENT)
        incoming = await self._database.fetch(sql.INCOMING, *arguments)
        outgoing = await self._database.fetch(sql.OUTGOING, *arguments, sql.MAX_EXECUTIONS)
        messages = sorted(
            [*map(_incoming, incoming), *map(_outgoing, outgoing)], key=lambda one: (one.at, one.id), reverse=True
        )
        kept = messages[:limit]
        following = paging.cursor_at(kept[-1].at, kept[-1].id) if len(messages) > limit else None
        executions = await self._database.fetch(sql.EXECUTIONS, members, EXECUTIONS_SHOWN)
        waits = await self._database.fetch(sql.WAITS, members, sql.MAX_EXECUTIONS, WAITS_SHOWN)
        thread = ConversationThread(
            **msgspec.structs.asdict(shown[0]),
            messages=kept,
            executions=[ConversationExecution(**{**row, "error": error_detail(row["error"])}) for row in executions],
            waits=[ConversationWait(**row) for row in waits],
        )
        return thread, following


def _cursor(row: asyncpg.Record) -> str:
    return paging.cursor_at(row["queued_at"], row["id"])


def _place(one: Conversation) -> tuple[datetime, UUID]:
    return one.last_execution_at or one.created_at, one.id


def _incoming(row: asyncpg.Record) -> ConversationMessage:
    message = incoming_message(row["trigger"])
    kind = None if message is None else message.get("kind")
    return ConversationMessage(
        direction="incoming",
        id=row["id"],
        at=row["at"],
        kind=kind if isinstance(kind, str) else None,
        text=text_of(message),
        content=message,
        execution_id=row["execution_id"],
        event_id=row["event_id"],
    )


def _outgoing(row: asyncpg.Record) -> ConversationMessage:
    payload = decoded(row["payload"])
    kind = None if payload is None else payload.get("type")
    return ConversationMessage(
        direction="outgoing",
        id=row["id"],
        at=row["at"],
        kind=kind if isinstance(kind, str) else None,
        text=text_of(payload),
        content=payload,
        execution_id=row["execution_id"],
        channel_id=row["channel_id"],
        status=row["status"],
        attempts=row["attempts"],
        uncertain=row["uncertain"],
        error=error_detail(row["error"]),
        updated_at=row["updated_at"],
    )
