"""Contacts: people (or groups) with whom flows talk, and the addresses under which they are known."""

from datetime import datetime
from uuid import UUID

import msgspec

from filas.models.record import Record


class ReportedContact(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as one event, schedule or send names it: `address`, and other addresses that are surely the same
    contact (`aliases`).

    `medium` determines how addresses are compared (see `filas.contacts.canonical_address`). `account` is our own
    number, if the channel has none of its own. `begins`: a contact that is not known is created, with a conversation.
    `sends_to` is the address to which messages are sent from now on; None leaves it as it is.
    """

    channel: str
    address: str
    aliases: tuple[str, ...] = ()
    medium: str | None = None
    account: str | None = None
    begins: bool = True
    sends_to: str | None = None


class FoundConversation(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation of a reported contact. `contact` is the address under which the conversation began (of a further
    conversation of the contact: with a suffix). It stays the same, and determines the group of the conversation's jobs.
    """

    id: UUID
    contact_id: UUID
    contact: str


class Contact(Record, frozen=True, kw_only=True):
    """A contact. `address` is what messages are sent to, as the provider wrote it last."""

    id: UUID
    channel: str
    address: str
    name: str | None
    created_at: datetime
    updated_at: datetime


class ContactConversation(Record, frozen=True, kw_only=True):
    """A conversation of a contact. `account` is our own number, if the channel has none of its own. `vars` are left
    out: they may be secret. `merged_into` is the conversation that this one has become a part of."""

    id: UUID
    channel: str
    contact: str
    account: str | None
    merged_into: UUID | None
    created_at: datetime
    updated_at: datetime


class ContactWithConversations(Contact, frozen=True, kw_only=True):
    """A contact with its aliases (canonical addresses, in order) and its conversations, the oldest first."""

    aliases: list[str]
    conversations: list[ContactConversation]
