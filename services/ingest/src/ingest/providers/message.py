"""A message of a contact, whichever provider brought it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from filas.contract.storable_text import is_storable
from filas.models.notifications import DeliveryState

MAX_CONTACT = 256
"""The longest contact, in bytes: numbers and ids are far shorter, and it stands in an index and in a group key."""


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`id` is the provider's, unique within its webhook. `kind` is the provider's word (`text`, `image`, …).

    `text` is what the contact wrote or chose, a medium's caption included. `media_id` or `media_url` says
    where a medium is. `sent_at` is the provider's time, in milliseconds since 1970.
    """

    id: str
    kind: str
    text: str | None
    contact: str
    media_id: str | msgspec.UnsetType = msgspec.UNSET
    media_url: str | msgspec.UnsetType = msgspec.UNSET
    sent_at: int | msgspec.UnsetType = msgspec.UNSET


class IncomingStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a provider says of a message that was sent over it. `id` is the id that it gave the message then.

    `error` says why one failed. `at` is the provider's time, in milliseconds since 1970, if it gives one. `key` is the
    message's idempotency key, if the provider gives it back.
    """

    id: str
    state: DeliveryState
    key: str | None = None
    error: str | None = None
    at: int | None = None


@dataclass(slots=True)
class Part:
    """A message or status of a body, as a body of its own. `key` tells it from all others, its repetitions aside;
    `contact` has written it: None for a status."""

    document: Any
    key: str | None
    contact: str | None


class Provider(Protocol):
    """How to read the bodies of one `auth.type`. None of it raises, whatever the document is."""

    def parts(self, document: Any) -> list[Part]:
        """What `document` is made of, in order: at least one part."""

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The messages of contacts in `document`: statuses and echoes are none."""

    def statuses(self, document: Any) -> list[IncomingStatus]:
        """What `document` says of messages of ours."""

    def channel(self, document: Any) -> str:
        """The channel over which to answer unless the webhook names one."""


def whole(
    document: Any, key: Callable[[Any], str | None], messages: Callable[[Any], Sequence[IncomingMessage]]
) -> list[Part]:
    """The parts of a document that is always one, by its reader's two questions."""
    contact = next((message.contact for message in messages(document)), None)
    return [Part(document, key(document), contact)]


def clean_contact(value: object) -> str | None:
    """`value` as a contact: text or a number, without blanks around it; None if it can't be one.

    A NUL or an unpaired surrogate has no place in a column of text.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    contact = str(value).strip()
    if not contact or len(contact) > MAX_CONTACT or not is_storable(contact):
        return None
    return contact if len(contact.encode()) <= MAX_CONTACT else None
