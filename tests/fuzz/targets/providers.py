"""Bodies of chat providers: every part is one event of a known kind, with texts that can be stored.

Input: the provider, the JSON document of the body.
"""

import msgspec

from filas.contract import bounded_json
from filas.contract.storable_text import is_storable
from filas.decoding.json_body import decode_json
from filas.models.configuration import WebhookFilter
from filas.models.event_kinds import CONTENT_KINDS, OTHER_KINDS
from ingest.event.conversation import ConversationReader
from ingest.event.event_filter import EventFilter
from ingest.providers.known_providers import PROVIDERS
from ingest.providers.message import MAX_CONTACT, IncomingMessage, IncomingReceipt
from tests.fuzz.target import chosen, first_line

DOCUMENTS = True
WORDS = (
    "entry", "changes", "messaging", "value", "messages", "statuses", "contacts", "wa_id", "from", "id", "type",
    "text", "body", "interactive", "button_reply", "list_reply", "image", "context", "metadata", "errors", "calls",
    "sender", "recipient", "message", "mid", "postback", "payload", "read", "delivery", "watermark", "reaction",
    "update_id", "chat", "callback_query", "data", "edited_message", "contact", "location", "photo", "date",
    "message_id", "entities", "event", "channel", "ts", "user", "subtype", "files", "command", "trigger_id",
    "actions", "block_actions", "blocks", "view_submission", "MessageSid", "SmsStatus", "From", "To", "Body",
    "NumMedia", "MediaUrl0", "ProfileName", "nfm_reply", "system", "migrate_to_chat_id", "delivered", "failed",
    "<@U1|a>", "<https://a|b>", "&lt;", "whatsapp:+5511999990000",
)  # fmt: skip

_FILTER = EventFilter(WebhookFilter(expression='message == null || message.raw == null || message.text != "x"'))


def fuzz(data: bytes) -> None:
    """Reads the document as the acceptance and the worker do."""
    name, body = first_line(data)
    try:
        document, _ = decode_json(body)
    except bounded_json.InvalidJson:
        return
    provider = chosen(PROVIDERS, name)
    reader = ConversationReader(next(key for key, one in PROVIDERS.items() if one is provider), None, _FILTER)
    for receipt in provider.receipts(document):
        assert msgspec.json.decode(msgspec.json.encode(receipt), type=IncomingReceipt) == receipt
    assert is_storable(provider.channel(document))
    answer = provider.answer(document)
    assert answer is None or 200 <= answer.status < 300
    parts = list(provider.parts(document))
    assert len(provider.messages(document)) == len(parts) >= 1
    for part in parts:
        (message,) = provider.messages(part.document)
        assert message.kind in CONTENT_KINDS | OTHER_KINDS
        assert part.key
        if message.kind in CONTENT_KINDS:
            assert part.contact == message.contact  # the events of a conversation are one group
        for contact in (message.contact, message.moved_to, *message.aliases):
            assert contact is None or (is_storable(contact) and 0 < len(contact.encode()) <= MAX_CONTACT)
        assert msgspec.json.decode(msgspec.json.encode(message), type=IncomingMessage) == message
        scope = {"body": part.document, "headers": {}, "queryParams": {}}
        starts = reader.starts(scope, "k")
        assert bool(starts.starts) == (message.kind in CONTENT_KINDS) or starts.reason == "filter"
        group = reader.group("hook", scope, part)
        assert group is None or is_storable(group)
