"""The messages and receipts of Telegram, Slack and Twilio."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.storable_text import is_storable
from filas.models.configuration import ConversationRule
from ingest.event.conversation import ConversationReader
from ingest.providers.known_providers import PROVIDERS
from ingest.providers.message import IncomingMessage, IncomingReceipt
from tests.ingest.test_meta_bodies import whatsapp
from tests.ingest.verify.vendors import SMS

CHAT = {"id": -1001, "type": "private"}
SAID = {"message_id": 5, "date": 1749416383, "chat": CHAT, "from": {"id": 7, "is_bot": False}}


def message(**fields: Any) -> IncomingMessage:
    """Returns a message with the fields that a test names."""
    return IncomingMessage(**{"kind": "text", "text": "oi", "sent_at": msgspec.UNSET, **fields})


TELEGRAM: list[tuple[dict[str, Any], IncomingMessage | None]] = [
    (
        {"update_id": 1, "message": {**SAID, "text": "oi"}},
        message(id="1", contact="-1001", sent_at=1749416383000),
    ),
    (
        {"update_id": 2, "edited_message": {**SAID, "text": "oi", "edit_date": 1749416400}},
        message(id="2", contact="-1001", sent_at=1749416400000),
    ),
    (
        {
            "update_id": 3,
            "message": {**SAID, "caption": "oi", "photo": [{"file_id": "small"}, {"file_id": "large"}]},
        },
        message(id="3", contact="-1001", kind="photo", media_id="large", sent_at=1749416383000),
    ),
    (
        {"update_id": 4, "message": {**SAID, "voice": {"file_id": "v", "duration": 2}}},
        message(id="4", contact="-1001", kind="voice", text=None, media_id="v", sent_at=1749416383000),
    ),
    (
        {"update_id": 5, "message": {**SAID, "location": {"latitude": 1, "longitude": 2}}},
        message(id="5", contact="-1001", kind="location", text=None, sent_at=1749416383000),
    ),
    (
        {"update_id": 6, "callback_query": {"id": "c", "data": "oi", "from": {"id": 7}, "message": SAID}},
        message(id="6", contact="-1001", kind="callback"),
    ),
    (
        {"update_id": 7, "callback_query": {"id": "c", "data": "oi", "from": {"id": 7}}},
        message(id="7", contact="7", kind="callback"),
    ),
    ({"update_id": 8, "my_chat_member": {"chat": CHAT}}, None),
    ({"update_id": 9, "message": {"text": "oi"}}, None),
    ({"message": {**SAID, "text": "oi"}}, None),
]

EVENT = {"type": "message", "channel": "D1", "user": "U1", "text": "oi", "ts": "1355517523.000005"}
SLACK: list[tuple[dict[str, Any], IncomingMessage | None]] = [
    (
        {"type": "event_callback", "event_id": "Ev1", "event": EVENT},
        message(id="Ev1", contact="D1", sent_at=1355517523000),
    ),
    (
        {"type": "event_callback", "event_id": "Ev2", "event": {**EVENT, "type": "app_mention"}},
        message(id="Ev2", contact="D1", sent_at=1355517523000),
    ),
    (
        {
            "event_id": "Ev3",
            "event": {
                **EVENT,
                "subtype": "file_share",
                "files": [{"mimetype": "image/png", "url_private": "https://files.slack.com/a"}],
            },
        },
        message(id="Ev3", contact="D1", kind="image", media_url="https://files.slack.com/a", sent_at=1355517523000),
    ),
    ({"event_id": "Ev4", "event": {**EVENT, "bot_id": "B1"}}, None),
    ({"event_id": "Ev5", "event": {**EVENT, "subtype": "message_changed"}}, None),
    ({"event_id": "Ev6", "event": {**EVENT, "type": "reaction_added"}}, None),
    (
        {"command": "/order", "text": "2 x", "channel_id": "C1", "trigger_id": "13.7"},
        message(id="13.7", contact="C1", kind="command", text="/order 2 x"),
    ),
    (
        {
            "payload": json.dumps(
                {
                    "type": "block_actions",
                    "trigger_id": "12.3",
                    "channel": {"id": "C1"},
                    "actions": [{"action_id": "approve", "value": "oi"}],
                }
            )
        },
        message(id="12.3", contact="C1", kind="interactive"),
    ),
    ({"payload": "no json"}, None),
]

TWILIO: list[tuple[dict[str, Any], IncomingMessage | None]] = [
    (SMS, message(id="SM1", contact="+5511999990000", text="olá & até")),
    (
        {
            "MessageSid": "MM1",
            "From": "whatsapp:+5511",
            "Body": "",
            "NumMedia": "1",
            "MediaUrl0": "https://api.twilio.com/m",
            "MediaContentType0": "image/jpeg",
        },
        message(id="MM1", contact="whatsapp:+5511", kind="image", text=None, media_url="https://api.twilio.com/m"),
    ),
    ({"MessageSid": "SM2", "From": "+55", "ButtonText": "oi"}, message(id="SM2", contact="+55", kind="button")),
    ({"MessageSid": "SM3", "From": "+55", "MessageStatus": "delivered"}, None),
    ({"CallSid": "CA1", "From": "+55", "CallStatus": "ringing"}, None),
]


@pytest.mark.parametrize(
    ("provider", "document", "expected"),
    [
        (name, document, expected)
        for name, cases in (("telegram", TELEGRAM), ("slack", SLACK), ("twilio", TWILIO))
        for document, expected in cases
    ],
)
def test_the_message_of_a_contact(provider: str, document: dict[str, Any], expected: IncomingMessage | None) -> None:
    """Contact, kind, text, medium and time. Its job is in the group of its conversation."""
    assert PROVIDERS[provider].messages(document) == ([] if expected is None else [expected])
    (part,) = PROVIDERS[provider].parts(document)
    assert (part.document, part.contact) == (document, expected and expected.contact)
    group = None if expected is None else f"{provider}:{expected.contact}"
    assert ConversationReader(provider, None).group("w", {"body": document}) == group


@pytest.mark.parametrize(
    ("provider", "document", "expected"),
    [
        (
            "meta",
            whatsapp(statuses=[{"id": "w1", "status": "delivered", "timestamp": "1749416383", "recipient_id": "5"}]),
            IncomingReceipt(id="w1", state="delivered", at=1749416383000),
        ),
        (
            "meta",
            whatsapp(statuses=[{"id": "w1", "status": "read", "biz_opaque_callback_data": "execution:5"}]),
            IncomingReceipt(id="w1", state="read", key="execution:5"),
        ),
        (
            "meta",
            whatsapp(
                statuses=[
                    {
                        "id": "w1",
                        "status": "failed",
                        "errors": [{"code": 131047, "title": "Re-engagement", "error_data": {"details": "24 hours"}}],
                    }
                ]
            ),
            IncomingReceipt(id="w1", state="failed", error="131047 Re-engagement 24 hours"),
        ),
        ("meta", whatsapp(statuses=[{"id": "w1", "status": "pondered"}]), None),
        ("twilio", {"MessageSid": "SM1", "MessageStatus": "read"}, IncomingReceipt(id="SM1", state="read")),
        (
            "twilio",
            {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"},
            IncomingReceipt(id="SM1", state="failed", error="30003"),
        ),
        ("twilio", {"MessageSid": "SM1", "MessageStatus": "queued"}, None),
        ("twilio", SMS, None),
        ("telegram", {"update_id": 1}, None),
        ("slack", {"event": EVENT}, None),
    ],
)
def test_the_delivery_receipt_of_a_message(provider: str, document: Any, expected: IncomingReceipt | None) -> None:
    """By the provider's id, over the channel by which the message was sent."""
    found = ConversationReader(provider, None).receipts({"body": document})
    usual = PROVIDERS[provider].channel(document)
    assert found == ([] if expected is None else [(usual, expected)])
    named = ConversationReader(provider, ConversationRule(channel="shop")).receipts({"body": document})
    assert named == ([] if expected is None else [("shop", expected)])


_WORDS = st.sampled_from(
    [
        *(*SMS, *EVENT, *SAID),
        *("update_id", "message", "callback_query", "data", "photo", "file_id", "event", "event_id", "payload"),
        *("actions", "files", "subtype", "command", "trigger_id", "channel_id", "MessageStatus", "entry", "changes"),
        *("value", "messages", "statuses", "messaging", "id", "status", "errors", "timestamp", "type", "chat"),
    ]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=30,
)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(document=_VALUES)
def test_any_document_is_read(provider: str, document: Any) -> None:
    """No document raises an exception, and the contacts can be stored."""
    reader = PROVIDERS[provider]
    assert reader.parts(document)
    reader.receipts(document)
    reader.channel(document)
    for found in reader.messages(document):
        assert found.id
        assert is_storable(found.contact)
        msgspec.json.encode(found)
