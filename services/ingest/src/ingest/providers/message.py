"""Messages and delivery receipts, in one form for all providers, and the interface of a provider's reader."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from filas.contract.storable_text import is_storable
from filas.models.event_kinds import EventKind
from filas.models.notifications import DeliveryState

MAX_CONTACT = 256
"""The longest contact, in bytes. Numbers and ids are far shorter. A contact is part of an index and of group keys."""


class Media(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image, recording or file. `id` or `url` identifies it at the provider. `size` is in bytes."""

    id: str | None = None
    url: str | None = None
    mime_type: str | None = None
    filename: str | None = None
    caption: str | None = None
    size: int | None = None


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event of a provider: a message of a contact, or an event of another kind. Flows read it as
    `conversation.message`.

    `id` is the provider's id, unique within its webhook; None if it has none. `text` is what the contact wrote or
    chose, or the caption of a medium, as plain text. `data` holds the fields that are specific to the kind. `reply_to`
    is the id of the message that it answers. `sent_at` is the provider's time, in milliseconds since 1970. `thread`
    holds the provider's fields that place an answer in the same thread, topic or business account.

    `contact` is the address that is answered, None if no one is to be answered. `aliases` are further addresses of the
    same contact. `moved_to` is the one of them that replaces `contact` from now on. `account` is our own number or
    account that received it. `raw_path` leads to the provider's original
    in the body: names and indexes from the root.
    """

    id: str | None
    kind: EventKind
    text: str | None = None
    data: dict[str, Any] | None = None
    media: Media | None = None
    reply_to: str | None = None
    sent_at: int | None = None
    thread: dict[str, Any] | None = None
    contact: str | None = None
    aliases: tuple[str, ...] = ()
    moved_to: str | None = None
    account: str | None = None
    raw_path: tuple[str | int, ...] = ()


class IncomingReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery receipt. `id` is the provider's id of the message that was sent.

    `error` is why the delivery failed. `at` is the provider's time in milliseconds since 1970, if it states one. `key`
    is the message's idempotency key, if the provider returns it. `account` is our own number that sent the message.
    """

    id: str
    state: DeliveryState
    key: str | None = None
    error: str | None = None
    at: int | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The answer that a provider expects to an accepted request."""

    status: int
    content_type: str
    body: bytes


EMPTY_ANSWER = ProviderAnswer(200, "text/plain; charset=utf-8", b"")


@dataclass(slots=True)
class Part:
    """One event of a body, as a body of its own. `key` identifies the event, also when it is sent again. `contact` is
    its sender, None for an event without a contact. `is_status`: it is a delivery receipt. `content` is what
    `key` identifies, if the document has more than that: when an event is sent again, the rest may differ."""

    document: Any
    key: str | None
    contact: str | None
    is_status: bool = False
    content: Any = None


class Provider(Protocol):
    """The reader of the bodies of one `auth.type`. No method raises an exception, whatever the document is."""

    def parts(self, document: Any) -> Iterable[Part]:
        """The parts of `document`, in order. There is at least one. Those of a provider that sends several are made one
        at a time, so that the caller can bound what all of them take."""

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The events in `document`, of all kinds. There is at least one: what has no known shape is `other`."""

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """The delivery receipts in `document`."""

    def answer(self, document: Any) -> ProviderAnswer | None:
        """The answer that the provider expects to an accepted `document`; None: our own."""

    def channel(self, document: Any) -> str:
        """The channel over which the contact is answered, unless the webhook names one."""


def single_part(
    document: Any,
    key: Callable[[Any], str | None],
    messages: Callable[[Any], Sequence[IncomingMessage]],
    content: Any = None,
) -> list[Part]:
    """The parts of a document of a provider that sends one event per document."""
    (message,) = messages(document)
    return [Part(document, key(document), message.contact, message.kind == "status", content)]


def clean_contact(value: object) -> str | None:
    """`value` as a contact: a text or an integer, without surrounding blanks. None if it cannot be a contact."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    contact = str(value).strip()
    if not contact or len(contact) > MAX_CONTACT or not is_storable(contact):
        return None
    return contact if len(contact.encode()) <= MAX_CONTACT else None
