"""The delivery receipts of all providers. `test_provider_kinds.py` has their messages."""

from typing import Any

import msgspec
import pytest

from filas.models.configuration import ConversationRule
from ingest.event.conversation import ConversationReader
from ingest.providers.known_providers import PROVIDERS
from ingest.providers.message import IncomingReceipt
from tests.ingest.test_meta_bodies import whatsapp
from tests.ingest.verify.vendors import SMS

EVENT = {"type": "message", "channel": "D1", "user": "U1", "text": "oi", "ts": "1355517523.000005"}


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
    assert [(one.channel, _without_account(one.receipt)) for one in found] == (
        [] if expected is None else [(usual, expected)]
    )
    named = ConversationReader(provider, ConversationRule(channel="shop")).receipts({"body": document})
    assert [one.channel for one in named] == ([] if expected is None else ["shop"])


def _without_account(receipt: IncomingReceipt) -> IncomingReceipt:
    """The number that sent the message is tested with the channels."""
    return msgspec.structs.replace(receipt, account=None)
