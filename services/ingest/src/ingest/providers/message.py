"""Messages and delivery receipts, in one form for all providers, and the interface of a provider's reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from filas.contract.storable_text import is_storable
from filas.models.notifications import DeliveryState

MAX_CONTACT = 256
"""The longest contact, in bytes. Numbers and ids are far shorter. A contact is part of an index and of group keys."""


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of a contact. `id` is the provider's id, unique within its webhook. `kind` is the provider's term
    (`text`, `image`, …).

    `text` is what the contact wrote or chose, or the caption of a medium. `media_id` or `media_url` identifies a
    medium. `sent_at` is the provider's time, in milliseconds since 1970.
    """

    id: str
    kind: str
    text: str | None
    contact: str
    media_id: str | msgspec.UnsetType = msgspec.UNSET
    media_url: str | msgspec.UnsetType = msgspec.UNSET
    sent_at: int | msgspec.UnsetType = msgspec.UNSET


class IncomingReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery receipt. `id` is the provider's id of the message that was sent.

    `error` is why the delivery failed. `at` is the provider's time in milliseconds since 1970, if it states one. `key`
    is the message's idempotency key, if the provider returns it.
    """

    id: str
    state: DeliveryState
    key: str | None = None
    error: str | None = None
    at: int | None = None


@dataclass(slots=True)
class Part:
    """A message or receipt of a body, as a body of its own. `key` identifies it, also when it is sent again. `contact`
    is its sender, None for a receipt. `content` is what `key` identifies, if the document has more than that: when a
    message is sent again, the rest may differ."""

    document: Any
    key: str | None
    contact: str | None
    content: Any = None


class Provider(Protocol):
    """The reader of the bodies of one `auth.type`. No method raises an exception, whatever the document is."""

    def parts(self, document: Any) -> list[Part]:
        """The parts of `document`, in order. There is at least one."""

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The messages of contacts in `document`, without receipts and echoes."""

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """The delivery receipts in `document`."""

    def channel(self, document: Any) -> str:
        """The channel over which the contact is answered, unless the webhook names one."""


def single_part(
    document: Any, key: Callable[[Any], str | None], messages: Callable[[Any], Sequence[IncomingMessage]]
) -> list[Part]:
    """The parts of a document of a provider that sends one message per document."""
    contact = next((message.contact for message in messages(document)), None)
    return [Part(document, key(document), contact)]


def clean_contact(value: object) -> str | None:
    """`value` as a contact: a text or an integer, without surrounding blanks. None if it cannot be a contact."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    contact = str(value).strip()
    if not contact or len(contact) > MAX_CONTACT or not is_storable(contact):
        return None
    return contact if len(contact.encode()) <= MAX_CONTACT else None
