"""Decides what reported contacts change: pure functions from what the tables hold to the rows to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from filas.contacts.canonical_address import canonical_address, medium_of
from filas.contract.identity import contact_id, conversation_id, new_id, old_conversation_id
from filas.models.contacts import FoundConversation, ReportedContact


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation of a known contact that has not become a part of another one."""

    id: UUID
    contact: str
    account: str | None
    updated_at: datetime


@dataclass(slots=True)
class Known:
    """What the tables hold about one reported contact: the contacts of its addresses, with their addresses to send to,
    and their conversations."""

    aliases: dict[str, UUID] = field(default_factory=dict)
    addresses: dict[UUID, str] = field(default_factory=dict)
    conversations: dict[UUID, KnownConversation] = field(default_factory=dict)

    @property
    def contact_ids(self) -> list[UUID]:
        """The ids of the contacts, in order."""
        return sorted(self.addresses)

    def conversation(self, account: str | None) -> KnownConversation | None:
        """The conversation with `account`: the one that has it, or else the one that has no account yet. Without
        `account`, the one without an account, or else the one that was changed last."""
        by_account = {one.account: one for one in sorted(self.conversations.values(), key=lambda one: one.updated_at)}
        found = by_account.get(account) or by_account.get(None)
        if found is None and account is None and by_account:
            return list(by_account.values())[-1]
        return found


@dataclass(slots=True)
class Changes:
    """The rows to write. Each has one key, so that one statement can write all of them.

    `old_ids` are the ids that older versions may have given to the new conversations. `begun` are the contacts that get
    a new conversation.
    """

    contacts: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], UUID] = field(default_factory=dict)
    conversations: dict[UUID, tuple[str, str, UUID, str | None]] = field(default_factory=dict)
    addresses: dict[UUID, str] = field(default_factory=dict)
    old_ids: list[UUID] = field(default_factory=list)
    begun: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.contacts or self.aliases or self.conversations or self.addresses)

    def columns(self) -> Iterable[list[object]]:
        """The arguments of `contact_sql.LEARN`."""
        yield list(self.contacts)
        yield from _columns(list(self.contacts.values()), 2)
        yield from _columns([(*key, contact) for key, contact in self.aliases.items()], 3)
        yield list(self.conversations)
        yield from _columns(list(self.conversations.values()), 4)
        yield list(self.addresses)
        yield list(self.addresses.values())
        yield list(self.old_ids)


@dataclass(frozen=True, slots=True)
class Settled:
    """The conversation of a report. `written`: the tables hold it already. Otherwise they hold it after the changes
    have been written, if all of their rows were new."""

    conversation: FoundConversation
    written: bool


def medium_of_report(report: ReportedContact) -> str | None:
    """The medium that the report names, or else that of its channel's id."""
    return report.medium or medium_of(report.channel)


def aliases_of(report: ReportedContact) -> list[str]:
    """The canonical addresses of the report, without repetitions. The first is that of `address`."""
    medium = medium_of_report(report)
    return list(dict.fromkeys(canonical_address(one, medium) for one in (report.address, *report.aliases)))


def old_ids_of(report: ReportedContact, aliases: Sequence[str]) -> list[UUID]:
    """The ids that older versions may have given to the conversation of the report with these `aliases`."""
    written = dict.fromkeys((report.address, report.address.strip(), aliases[0]))
    return [old_conversation_id(report.channel, one) for one in written]


def known_of(rows: Iterable[asyncpg.Record]) -> dict[int, Known]:
    """The rows of `contact_sql.FIND` by the number of the report."""
    found: dict[int, Known] = {}
    for row in rows:
        known = found.setdefault(row["place"], Known())
        known.aliases[row["alias"]] = row["contact_id"]
        known.addresses[row["contact_id"]] = row["address"]
        if row["id"] is not None:
            known.conversations[row["id"]] = KnownConversation(
                row["id"], row["contact"], row["account"], row["updated_at"]
            )
    return found


def add_changes(
    changes: Changes,
    report: ReportedContact,
    aliases: Sequence[str],
    known: Known,
    unlinked: dict[UUID, str] | None,
    *,
    again: bool,
) -> Settled | None:
    """Adds to `changes` what `report` changes. Returns its conversation, or None if it has to be looked up again after
    the changes have been written, or if the report begins none. The addresses of `known` have one contact at most.

    `aliases` are those of the report. `unlinked` are conversations of older versions, by id, with their contacts; None
    if they have not been looked up, and then the statement that writes the changes finds them. `again`: an earlier try
    to create the conversation had no effect, because its id or its contact is taken.
    """
    if known.addresses:
        [identity] = known.addresses
        address = known.addresses[identity]
    elif report.begins:
        identity, address = contact_id(report.channel, aliases[0]), report.sends_to or report.address
    else:
        return None
    new = [one for one in aliases if one not in known.aliases]
    if any(changes.aliases.get((report.channel, one), identity) != identity for one in new):
        return None  # another report of this batch names the address too, for another contact
    if not known.addresses:
        # Of several reports of a new contact, the last one decides where messages are sent to.
        before = changes.contacts.get(identity)
        changes.contacts[identity] = (report.channel, report.sends_to or (before[1] if before else address))
    for one in new:
        changes.aliases.setdefault((report.channel, one), identity)
    if report.sends_to is not None and report.sends_to != address:
        changes.addresses[identity] = report.sends_to
    if not report.begins:
        return None
    conversation = known.conversation(report.account)
    if conversation is not None and (conversation.account == report.account or report.account is None):
        found = FoundConversation(id=conversation.id, contact_id=identity, contact=conversation.contact)
        return Settled(found, written=not new)
    if conversation is not None:  # it gets the account
        changes.conversations.setdefault(
            conversation.id, (report.channel, conversation.contact, identity, report.account)
        )
        return None
    is_first = not known.conversations and identity not in changes.begun
    if is_first and unlinked is None:
        changes.old_ids += old_ids_of(report, aliases)
    place, contact = _new_conversation(
        report, aliases, (unlinked or {}) if is_first else {}, is_first=is_first, again=again
    )
    changes.begun.add(identity)
    row = changes.conversations.setdefault(place, (report.channel, contact, identity, report.account))
    return Settled(FoundConversation(id=place, contact_id=identity, contact=row[1]), written=False)


def _new_conversation(
    report: ReportedContact, aliases: Sequence[str], unlinked: dict[UUID, str], *, is_first: bool, again: bool
) -> tuple[UUID, str]:
    """The id and the contact of a conversation: that of an older version, or a new one. The id of the first
    conversation of a contact does not depend on the account, so that a schedule finds the same one. In one channel, the
    contacts of conversations are unique, so that of a further one has a suffix."""
    old = next((one for one in old_ids_of(report, aliases) if one in unlinked), None) if unlinked else None
    if old is not None:
        return old, unlinked[old]
    if again:
        identity = new_id()
        return identity, f"{report.address}#{identity}"
    account = None if is_first else report.account
    identity = conversation_id(report.channel, report.address, medium=report.medium, account=account)
    return identity, report.address if account is None else f"{report.address}#{account}"


def _columns(rows: Sequence[Sequence[object]], count: int) -> Iterable[list[object]]:
    yield from (list(column) for column in zip(*rows, strict=True)) if rows else ([] for _ in range(count))
