"""The messages and receipts in Meta's bodies, and the division of a body into parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.providers.message import IncomingMessage, Part
from ingest.providers.meta import Meta

META = Meta()


def text_message(contact: str, text: str, identity: str) -> dict[str, Any]:
    """Returns a text message of the Cloud API."""
    return {"from": contact, "id": identity, "timestamp": "1749416383", "type": "text", "text": {"body": text}}


def whatsapp(*messages: dict[str, Any], statuses: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Returns a body of the WhatsApp Cloud API, in the documented format."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
    }
    if messages:
        contacts = dict.fromkeys(message["from"] for message in messages)
        value["contacts"] = [{"profile": {"name": f"Name of {one}"}, "wa_id": one} for one in contacts]
        value["messages"] = list(messages)
    if statuses is not None:
        value["statuses"] = statuses
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def messenger(*events: dict[str, Any], kind: str = "page") -> dict[str, Any]:
    """Returns a body of Messenger or Instagram."""
    return {"object": kind, "entry": [{"id": "1", "time": 1, "messaging": list(events)}]}


DELIVERED = {"id": "wamid.OUT", "status": "delivered", "timestamp": "1", "recipient_id": "5599"}


def test_a_text_message() -> None:
    """Contact, text, provider's id and time."""
    body = whatsapp(text_message("5511", "oi", "wamid.1"))
    assert META.messages(body) == [
        IncomingMessage(id="wamid.1", kind="text", text="oi", contact="5511", sent_at=1_749_416_383_000)
    ]
    assert META.channel(body) == "whatsapp"
    assert META.parts(body) == [Part(body, "wamid.1", "5511")]


@pytest.mark.parametrize(
    ("content", "text", "media"),
    [
        ({"type": "image", "image": {"id": "M1", "caption": "look"}}, "look", "M1"),
        ({"type": "audio", "audio": {"id": "M2"}}, None, "M2"),
        ({"type": "button", "button": {"payload": "p", "text": "Sim"}}, "Sim", None),
        (
            {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "A"}}},
            "A",
            None,
        ),
        (
            {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "B"}}},
            "B",
            None,
        ),
        ({"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}}, "👍", None),
        ({"type": "location", "location": {"latitude": 1, "longitude": 2}}, None, None),
        ({"type": "unsupported"}, None, None),
        ({}, None, None),
    ],
)
def test_other_kinds_of_messages(content: dict[str, Any], text: str | None, media: str | None) -> None:
    """What the contact wrote or chose, and the id of the medium."""
    (message,) = META.messages(whatsapp({"from": "5511", "id": "wamid.1", **content}))
    assert message.kind == content.get("type", "unknown")
    assert message.text == text
    assert (message.media_id or None) == media


def test_receipts_are_no_messages_and_each_status_has_a_key() -> None:
    """`delivered` and `read` of one message are two events."""
    body = whatsapp(statuses=[DELIVERED])
    assert META.messages(body) == []
    (part,) = META.parts(body)
    assert (part.key, part.contact) == ("wamid.OUT:delivered", None)


def test_a_body_of_many_is_split_into_bodies_of_one() -> None:
    """In order. Each part has its own contact's profile, and everything around it unchanged."""
    one, two, three = (
        text_message("5511", "a", "w1"),
        text_message("5522", "b", "w2"),
        text_message("5511", "c", "w3"),
    )
    parts = META.parts(whatsapp(one, two, three, statuses=[DELIVERED]))
    assert [part.key for part in parts] == ["w1", "w2", "w3", "wamid.OUT:delivered"]
    assert [part.document for part in parts[:3]] == [whatsapp(one), whatsapp(two), whatsapp(three)]
    assert parts[3].document == whatsapp(statuses=[DELIVERED])
    assert [part.contact for part in parts] == ["5511", "5522", "5511", None]


def test_a_split_part_equals_the_body_that_carries_it_alone() -> None:
    """A message is the same event in a batch and alone."""
    alone = whatsapp(text_message("5511", "a", "w1"))
    in_batch = META.parts(whatsapp(text_message("5511", "a", "w1"), text_message("5522", "b", "w2")))[0]
    assert in_batch.document == alone
    assert META.parts(alone) == [in_batch]


def test_messenger_and_instagram() -> None:
    """`messaging[]` instead of `changes[]`. An echo of our own message starts nothing."""
    hello = {"sender": {"id": "77"}, "timestamp": 5, "message": {"mid": "m1", "text": "hi"}}
    picture = {
        "sender": {"id": "78"},
        "message": {"mid": "m2", "attachments": [{"type": "image", "payload": {"url": "https://cdn.example/1"}}]},
    }
    echo = {"sender": {"id": "page"}, "message": {"mid": "m3", "text": "hi", "is_echo": True}}
    pressed = {"sender": {"id": "79"}, "postback": {"mid": "m4", "title": "Start"}}
    body = messenger(hello, picture, echo, pressed)
    assert META.messages(body) == [
        IncomingMessage(id="m1", kind="text", text="hi", contact="77", sent_at=5),
        IncomingMessage(id="m2", kind="image", text=None, contact="78", media_url="https://cdn.example/1"),
        IncomingMessage(id="m4", kind="text", text="Start", contact="79"),
    ]
    assert [(part.key, part.contact) for part in META.parts(body)] == [
        ("m1", "77"),
        ("m2", "78"),
        ("m3", None),
        ("m4", "79"),
    ]
    assert META.channel(body) == "messenger"
    assert META.channel(messenger(hello, kind="instagram")) == "instagram"


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["entry", "changes", "value", "messages", "statuses", "messaging", "message", "from", "id", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(document=_JSON)
def test_no_document_makes_the_reader_raise(document: Any) -> None:
    """A signed body of an undocumented format is accepted."""
    META.messages(document)
    META.channel(document)
    assert META.parts(document)


@given(value=_JSON)
def test_no_nearly_valid_document_makes_the_reader_raise(value: Any) -> None:
    """The same for inner values. A part has the contact of its message."""
    document = {"entry": [{"changes": [{"value": {"messages": [value], "contacts": value}}], "messaging": [value]}]}
    for part in META.parts(document):
        messages = META.messages(part.document)
        assert part.contact == (messages[0].contact if messages else None)
