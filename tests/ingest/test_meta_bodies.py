"""The division of Meta's bodies into parts. `test_provider_kinds.py` has the content of each part."""

from typing import Any

import pytest

from ingest.providers.message import IncomingMessage, Part
from ingest.providers.meta.reader import Meta

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
        IncomingMessage(
            id="wamid.1",
            kind="text",
            text="oi",
            contact="5511",
            sent_at=1_749_416_383_000,
            account="106540352242922",
            raw_path=("entry", 0, "changes", 0, "value", "messages", 0),
        )
    ]
    assert META.channel(body) == "whatsapp"
    assert list(META.parts(body)) == [Part(body, "wamid.1", "5511", content=text_message("5511", "oi", "wamid.1"))]


def test_each_status_has_a_key() -> None:
    """`delivered` and `read` of one message are two events."""
    (part,) = META.parts(whatsapp(statuses=[DELIVERED]))
    assert (part.key, part.contact, part.is_status) == ("wamid.OUT:delivered", None, True)


def test_two_people_with_user_names_have_their_own_profiles() -> None:
    """They have no number: `from_user_id` and `user_id` identify them."""

    def said(user: str, identity: str) -> dict[str, Any]:
        return {"from_user_id": user, "id": identity, "type": "text", "text": {"body": "oi"}}

    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": "1"},
        "contacts": [{"profile": {"username": name}, "user_id": name} for name in ("ana", "rui")],
        "messages": [said("ana", "w1"), said("rui", "w2")],
    }
    parts = list(META.parts({"entry": [{"changes": [{"field": "messages", "value": value}]}]}))
    assert [part.contact for part in parts] == ["ana", "rui"]
    contacts = [part.document["entry"][0]["changes"][0]["value"]["contacts"] for part in parts]
    assert contacts == [[{"profile": {"username": name}, "user_id": name}] for name in ("ana", "rui")]


def test_the_addresses_of_one_person_are_aliases() -> None:
    """The number and the user id, when one message has both; and the new number after a change."""
    both = text_message("5511", "oi", "w1") | {"from_user_id": "U"}
    assert META.messages(whatsapp(both))[0].aliases == ("U",)
    changed = {"from": "5511", "id": "w2", "type": "system", "system": {"new_wa_id": "5522"}}
    assert META.messages(whatsapp(changed))[0].aliases == ("5522",)


def test_everything_in_a_batch_is_a_part() -> None:
    """Also what has no known shape, beside messages: each becomes a row."""
    update = {"field": "message_template_status_update", "value": {"event": "APPROVED"}}
    body = whatsapp(text_message("5511", "a", "w1"), text_message("5522", "b", "w2"))
    body["entry"][0]["changes"] += [update, {"field": "messages", "value": {"messages": ["text", None]}}, "text", None]
    body["entry"] += [{"id": "2"}, "text"]
    parts = list(META.parts(body))
    kinds = [message.kind for part in parts for message in META.messages(part.document)]
    assert kinds == ["text", "text", *["other"] * 7]
    assert parts[2].document["entry"] == [{"id": "102290129340398", "changes": [update]}]
    assert all(part.key for part in parts)


@pytest.mark.parametrize("entry", [None, "text", 1, [], {}])
def test_an_entry_of_no_known_shape_is_a_part_without_the_others(entry: Any) -> None:
    """Otherwise the message in another entry would be processed twice."""
    body = whatsapp(text_message("5511", "a", "w1"))
    parts = list(META.parts({**body, "entry": [entry, *body["entry"]]}))
    assert [part.document["entry"] for part in parts] == [[entry], body["entry"]]
    assert [len(META.messages(part.document)) for part in parts] == [1, 1]


def test_a_body_of_many_is_split_into_bodies_of_one() -> None:
    """In order. Each part has its own contact's profile, and everything around it unchanged."""
    one, two, three = (
        text_message("5511", "a", "w1"),
        text_message("5522", "b", "w2"),
        text_message("5511", "c", "w3"),
    )
    parts = list(META.parts(whatsapp(one, two, three, statuses=[DELIVERED])))
    assert [part.key for part in parts] == ["w1", "w2", "w3", "wamid.OUT:delivered"]
    assert [part.document for part in parts[:3]] == [whatsapp(one), whatsapp(two), whatsapp(three)]
    assert parts[3].document == whatsapp(statuses=[DELIVERED])
    assert [part.contact for part in parts] == ["5511", "5522", "5511", None]


def test_a_split_part_equals_the_body_that_carries_it_alone() -> None:
    """A message is the same event in a batch and alone."""
    alone = whatsapp(text_message("5511", "a", "w1"))
    in_batch = next(META.parts(whatsapp(text_message("5511", "a", "w1"), text_message("5522", "b", "w2"))))
    assert in_batch.document == alone
    assert list(META.parts(alone)) == [in_batch]


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
    assert [(part.key, part.contact) for part in META.parts(body)] == [
        ("m1", "77"),
        ("m2", "78"),
        ("m3", None),
        ("m4", "79"),
    ]
    assert META.channel(body) == "messenger"
    assert META.channel(messenger(hello, kind="instagram")) == "instagram"
