"""Every body of the usual limit, a MiB, costs less than 100 ms and 50 MB, at acceptance and in the worker."""

import contextlib

import pytest

from filas.errors import PermanentError
from filas.models.configuration import ConversationRule, Dedupe
from tests.ingest.adversarial_bodies import (
    COSTLY_EXPRESSIONS,
    COSTLY_TEMPLATES,
    FORM,
    JSON,
    KEYS,
    MIB,
    NUMBERS,
    PROFILES,
    Adversarial,
    every_body,
    filled,
    whatsapp,
)
from tests.ingest.reading import assert_cheap, assert_every_reader_is_cheap, events_of, payload_of, process, refusal_of
from tests.ingest.serving import webhook

PLAIN = webhook()
META = webhook(auth={"type": "meta", "secrets": ["app secret"]})
SLACK = webhook(auth={"type": "slack", "secrets": ["signing secret"]})

CHEAP = {body.name: body for body in every_body()}
REGRESSIONS = [
    "urlencoded-percent-signs",
    "urlencoded-encoded-and-plain",
    "json-allowed-depth",
    "json-empty-lists",
    "json-floats",
    "json-accepted-deep-objects",
    "json-quotes",
    "multipart-many-encoded-names",
    "other-control-characters",
]


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_costly_body_is_cheap_or_refused(name: str) -> None:
    """Each once took from 140 ms to 1.4 s, or up to 190 MB, or is near a limit."""
    body = CHEAP[name]
    assert_cheap(lambda: refusal_of(PLAIN, body.body, body.content_type), name)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (Adversarial("", FORM, filled(b"a&", MIB)), "more than 1000 fields"),
        (Adversarial("", JSON, filled(b"[],", MIB, b"[", b"0]")), "more than 65535 objects and lists"),
        (Adversarial("", JSON, b"[" * 201 + b"]" * 201), "nested deeper than 200 levels"),
        (Adversarial("", JSON, filled(b"1e290,", 9000, b"[", b"0]")), "more than 500 numbers with an exponent"),
        (CHEAP["multipart-empty-parts"], "more than 1000 parts"),
        (CHEAP["multipart-headers"], "exceed 4096 bytes"),
        (CHEAP["multipart-encoded-words-of-4k"], "exceed 131072 bytes"),
    ],
)
def test_a_refused_body_names_its_limit(body: Adversarial, limit: str) -> None:
    """In the detail of the problem document."""
    refusal = refusal_of(PLAIN, body.body, body.content_type)
    assert refusal is not None
    assert refusal.status == 415
    assert limit in refusal.detail


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (whatsapp(PROFILES, 8000), 413),
        (whatsapp(PROFILES, 900), None),
        (whatsapp(KEYS, 900), 413),
        (whatsapp(KEYS, 6), None),
        (whatsapp(b"", 10_000), 413),
        (whatsapp(b"", 1, b'{"id":"1","status":' + NUMBERS[5:-1] + b"}"), None),
    ],
    ids=["many-profiles", "profiles-of-others", "many-keys", "few-messages", "many-messages", "a-long-status"],
)
def test_the_parts_of_a_provider_are_bounded_while_they_are_made(body: bytes, refusal: int | None) -> None:
    """Each part repeats what is around it, so the messages multiply what is around them."""
    assert_cheap(lambda: refusal_of(META, body, JSON), "acceptance")
    found = refusal_of(META, body, JSON)
    assert (found.status if found is not None else None) == refusal


def test_the_json_in_a_field_of_slack_is_bounded() -> None:
    """It is read again from the decoded field."""
    for payload in (filled(b"[],", MIB - 100, b"[", b"0]"), filled(b"1e290,", MIB - 100, b"[", b"0]")):
        assert assert_every_reader_is_cheap(SLACK, b"payload=" + payload, FORM) is None


@pytest.mark.parametrize("path", COSTLY_EXPRESSIONS[:3])
def test_the_expression_of_a_duplicate_key_is_bounded(path: str) -> None:
    """Some took seconds. Beyond the bound, the event is identified by its bytes."""
    keyed = webhook(dedupe=Dedupe(path=path))
    assert_cheap(lambda: events_of(keyed, NUMBERS, JSON), path)
    first, second = events_of(keyed, NUMBERS, JSON)[0], events_of(keyed, NUMBERS, JSON)[0]
    assert first.event.duplicate_key == second.event.duplicate_key


@pytest.mark.parametrize("path", ["&a", "a|" * 2000 + "a", "[" * 1000 + "]" * 1000])
def test_an_unusual_expression_of_a_duplicate_key_rejects_no_request(path: str) -> None:
    """Such an expression is stored since an earlier version; its requests have no key, and cause no 500."""
    events = events_of(webhook(dedupe=Dedupe(path=path)), b'{"a":{"b":1}}', JSON)
    assert len(events) == 1


@pytest.mark.parametrize("template", COSTLY_TEMPLATES[:1])
def test_the_templates_of_a_conversation_share_one_budget(template: str) -> None:
    """Three of them took 270 ms for one event."""
    rule = ConversationRule(channel="x" + template, contact="c" + template, text=template)
    (event,) = events_of(webhook(conversation=rule), NUMBERS, JSON)
    payload = payload_of(event)

    def process_or_fail() -> None:
        with contextlib.suppress(PermanentError):
            process(payload)

    assert_cheap(process_or_fail)
