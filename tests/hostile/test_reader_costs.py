"""Every reader costs less than 100 ms and 50 MB for each body at the size limit, and `/livez` is answered meanwhile."""

import contextlib

import pytest

from filas.errors import PermanentError
from filas.models.configuration import ConversationRule, Dedupe
from tests.ingest.adversarial_bodies import (
    COSTLY_EXPRESSIONS,
    COSTLY_TEMPLATES,
    JSON,
    MIB,
    NUMBERS,
    Adversarial,
    every_body,
    filled,
)
from tests.ingest.reading import assert_cheap, assert_every_reader_is_cheap, events_of, payload_of, process
from tests.ingest.serving import webhook

OBJECTS = filled(b'{"a":[{"b":1}],"text":"' + b"x" * 100 + b'"},', MIB, b'{"a":[', b"0]}")


@pytest.mark.parametrize("body", every_body(), ids=lambda body: body.name)
def test_every_body_is_cheap_for_every_reader(body: Adversarial) -> None:
    """Acceptance, the relay and the worker."""
    refusal = assert_every_reader_is_cheap(webhook(), body.body, body.content_type)
    assert refusal is None or refusal.status == 415


@pytest.mark.parametrize("path", COSTLY_EXPRESSIONS, ids=range(len(COSTLY_EXPRESSIONS)))
@pytest.mark.parametrize("body", [NUMBERS, OBJECTS], ids=["numbers", "objects"])
def test_every_expression_of_a_duplicate_key_is_bounded(path: str, body: bytes) -> None:
    """The event is accepted."""
    assert assert_every_reader_is_cheap(webhook(dedupe=Dedupe(path=path)), body, JSON) is None


@pytest.mark.parametrize("template", COSTLY_TEMPLATES)
@pytest.mark.parametrize("body", [NUMBERS, OBJECTS], ids=["numbers", "objects"])
def test_every_template_of_a_conversation_is_bounded(template: str, body: bytes) -> None:
    """A template that does too much work makes the job a dead letter."""
    rule = ConversationRule(channel="x" + template, contact="c" + template, text=template)
    (event,) = events_of(webhook(conversation=rule), body, JSON)
    payload = payload_of(event)

    def process_or_fail() -> None:
        with contextlib.suppress(PermanentError):
            process(payload)

    assert_cheap(process_or_fail, template)
