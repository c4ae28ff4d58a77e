"""The conversation of an event, and the group of its job."""

from typing import Any

import pytest

from filas.errors import PermanentError
from filas.models.configuration import ConversationRule
from ingest.event.conversation import NO_CONVERSATION, ConversationReader, Scope
from tests.ingest.test_meta_bodies import text_message, whatsapp


def scope(body: Any, headers: dict[str, str] | None = None) -> Scope:
    """Returns the names that a rule can use."""
    return {"body": body, "headers": headers or {}, "queryParams": {"to": ["a", "b"]}}


def rule(contact: str | None, text: str | None = None, channel: str | None = "shop") -> ConversationRule:
    """Returns a rule over the channel `shop`."""
    return ConversationRule(channel=channel, contact=contact, text=text)


def test_without_a_rule_there_is_no_conversation_and_no_order() -> None:
    """Each event starts one execution, and the events run in parallel."""
    reader = ConversationReader("none", None)
    assert reader.starts(scope({"from": "1"}), "key").starts == [NO_CONVERSATION]
    assert reader.group("w", scope({"from": "1"})) is None


@pytest.mark.parametrize(
    ("template", "contact"),
    [
        ("{{ body.from }}", "+5511"),
        ("{{body.from}}", "+5511"),
        ("{{ body.user.id }}", "42"),
        ("{{ body.users[1].id }}", "8"),
        ("{{ headers.x-user }}", "maria"),
        ("{{ queryParams.to[1] }}", "b"),
        ("fixed", "fixed"),
        ("{{ body.missing.deeper }}", None),
        ("{{ body.users[9] }}", None),
        ("{{ body.user }}", None),  # an object is no contact
        ("{{ body.nul }}", None),
        ("{{ body.long }}", None),
        ("{{ body }}", None),
    ],
)
def test_a_plain_path_is_known_at_acceptance(template: str, contact: str | None) -> None:
    """The conversation is the group of the job. A value that is no contact gives neither."""
    body = {
        "from": " +5511 ",
        "user": {"id": 42},
        "users": [{"id": 7}, {"id": 8}],
        "nul": "a\0b",
        "long": "x" * 300,
    }
    reader = ConversationReader("none", rule(template, "{{ body.user }}"))
    whole = scope(body, {"x-user": "maria"})
    (start,) = reader.starts(whole, "the key").starts
    assert start.contact == contact
    assert reader.group("w", whole) == (f"shop:{contact}" if contact else None)
    if start.message is not None:
        assert (start.message.id, start.message.kind, start.message.text) == ("the key", "text", '{"id":42}')


def test_a_template_is_rendered_when_the_event_is_processed() -> None:
    """Until then, the whole webhook is one group."""
    reader = ConversationReader("none", rule("{{ body.from | remove: '+' }}", "{{ body.a }} and {{ body.b }}"))
    whole = scope({"from": "+5511", "a": "x", "b": 2})
    assert reader.group("w", whole) == "webhook:w"
    (start,) = reader.starts(whole, "k").starts
    assert (start.channel, start.contact) == ("shop", "5511")
    assert start.message is not None
    assert start.message.text == "x and 2"


def test_a_template_with_an_absent_value_finds_no_conversation() -> None:
    """A body of another format is still an event."""
    reader = ConversationReader("none", rule("{{ body.from | remove: '+' }}"))
    assert reader.starts(scope({}), "k").starts == [NO_CONVERSATION]
    assert reader.starts(scope("text"), "k").starts == [NO_CONVERSATION]


def test_an_invalid_template_is_a_permanent_error() -> None:
    """A retry cannot succeed."""
    reader = ConversationReader("none", rule("{{ body.from | no-such-filter }}"))
    with pytest.raises(PermanentError, match="conversation"):
        reader.starts(scope({"from": "1"}), "k")


def test_meta_needs_no_rule() -> None:
    """The message determines contact and text; the product determines the channel."""
    reader = ConversationReader("meta", None)
    whole = scope(whatsapp(text_message("5511", "oi", "w1"), text_message("5522", "olá", "w2")))
    assert [(start.channel, start.contact) for start in reader.starts(whole, "k").starts] == [
        ("whatsapp", "5511"),
        ("whatsapp", "5522"),
    ]
    assert reader.group("w", whole) == "whatsapp:5511"


def test_a_rule_for_meta_names_the_channel_and_may_override_the_rest() -> None:
    """The message determines the fields that the rule leaves out."""
    whole = scope(whatsapp(text_message("5511", "oi", "w1")))
    reader = ConversationReader("meta", rule(None, channel="my-number"))
    (start,) = reader.starts(whole, "k").starts
    assert (start.channel, start.contact) == ("my-number", "5511")
    assert reader.group("w", whole) == "my-number:5511"
    (start,) = ConversationReader("meta", rule("{{ body.entry[0].id }}", "fixed")).starts(whole, "k").starts
    assert start.message is not None
    assert (start.contact, start.message.contact, start.message.text) == ("102290129340398", "102290129340398", "fixed")


def test_a_body_without_a_message_starts_nothing() -> None:
    """Receipts, and bodies of an undocumented format."""
    reader = ConversationReader("meta", None)
    bodies: list[Any] = [whatsapp(statuses=[{"id": "w", "status": "read", "recipient_id": "1"}]), {}, [], "text", None]
    for body in bodies:
        assert reader.starts(scope(body), "k").starts == []
        assert reader.group("w", scope(body)) is None
