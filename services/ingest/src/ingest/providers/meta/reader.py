"""The reader of Meta's bodies."""

from collections.abc import Iterator
from typing import Any, Final

from ingest.providers.document_fields import digest, object_of, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, ProviderAnswer
from ingest.providers.meta import messenger, whatsapp
from ingest.providers.meta.items import ENTRY_LISTS, Envelopes, Item, items_of

_ENTRY_LISTS: Final = frozenset(ENTRY_LISTS)
_VALUE_OF_MESSAGE: Final = frozenset({"messaging_product", "metadata", "contacts", "messages"})
_CHANNELS: Final = {"page": "messenger", "instagram": "instagram"}


class Meta:
    """The reader of the bodies of WhatsApp, Messenger and Instagram."""

    def parts(self, document: Any) -> Iterator[Part]:
        """One part for each item, in order. Each has only the profile of its own contact."""
        only = _only_message(document)
        if only is not None:
            yield Part(document, text_of(only.get("id")) or digest(only), whatsapp.contact_of(only), content=only)
            return
        items = items_of(document)
        if len(items) == 1:
            yield _part(document, items[0])
            return
        envelopes = Envelopes()
        for item in items:
            yield _part(envelopes.as_body(document, item), item)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The event of each item."""
        return [_message_of(item) for item in items_of(document)]

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """WhatsApp's receipts. Those of Messenger are ignored, because they do not identify the message reliably."""
        receipts = (whatsapp.receipt_of(item) for item in items_of(document) if item.list_name == "statuses")
        return [receipt for receipt in receipts if receipt is not None]

    def answer(self, _document: Any) -> ProviderAnswer | None:
        """None: Meta reads only the status."""
        return None

    def channel(self, document: Any) -> str:
        """`whatsapp`, `messenger` or `instagram`, by the document's `object`."""
        kind = object_of(document).get("object")
        return _CHANNELS.get(kind, "whatsapp") if isinstance(kind, str) else "whatsapp"


def _only_message(document: Any) -> dict[str, Any] | None:
    """The message of a WhatsApp body that contains nothing else. Nearly every body does, so this is the fast path."""
    try:
        (entry,) = document["entry"]
        (change,) = entry["changes"]
        value = change["value"]
        (message,) = value["messages"]
        is_alone = _VALUE_OF_MESSAGE.issuperset(value) and _ENTRY_LISTS.isdisjoint(entry)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return message if is_alone and isinstance(message, dict) else None


def _part(document: Any, item: Item) -> Part:
    match item.list_name:
        case "":
            return Part(document, digest(item.content), None, content=item.content)
        case "messaging" | "standby":
            key, contact = messenger.key_of(item.content), messenger.contact_of(item.content)
            is_status = "delivery" in item.content or "read" in item.content
        case _:
            key, is_status = whatsapp.key_of(item), item.list_name == "statuses"
            # What may start an execution needs its place in the order of the conversation; a delivery receipt has none.
            is_receipt = is_status and not whatsapp.is_payment(item.content)
            contact = None if is_receipt else whatsapp.message_of(item).contact
    return Part(document, key or digest(item.content), contact, is_status, item.content)


def _message_of(item: Item) -> IncomingMessage:
    match item.list_name:
        case "":
            return IncomingMessage(id=None, kind="other", raw_path=item.path)
        case "messaging" | "standby":
            return messenger.message_of(item)
        case _:
            return whatsapp.message_of(item)
