"""Every reader costs less than 100 ms and 50 MB for each body at the size limit, and `/livez` is answered meanwhile."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.errors import PermanentError
from filas.models.configuration import ConversationRule, Dedupe
from tests.ingest.adversarial_bodies import (
    COSTLY_EXPRESSIONS,
    COSTLY_TEMPLATES,
    FORM,
    JSON,
    MIB,
    MULTIPART,
    NUMBERS,
    Adversarial,
    every_body,
    filled,
)
from tests.ingest.reading import assert_cheap, assert_every_reader_is_cheap, events_of, payload_of, process
from tests.ingest.serving import webhook
from tests.long_form import by_form

_TOKENS = {
    JSON: [b"[", b"]", b"{", b"}", b'"', b'"a"', b":", b",", b"1", b"1e290", b"\\", b"\\u0000", b" ", b"0.1", b"null"],
    FORM: [b"&", b"=", b"%", b"%41", b"%e2", b"+", b";", b"a", b"[", b"\xc3\xa9", b"\xff"],
    MULTIPART: [
        *(
            b"--cut",
            b"\r\n",
            b"\r\n\r\n",
            b"Content-Disposition: form-data; ",
            b'name="',
            b'"',
            b"; ",
            b"a",
            b"=",
            b"*",
        ),
        *(b"filename*=utf-8''", b"%41", b"=?utf-8?q?a?=", b"(", b"\\", b" ", b"Content-Transfer-Encoding: base64"),
    ],
    "text/plain": [b"a", b"\0", b"\xff", b"\xf0\x9f\x98\x80", b'"', b"\n"],
}


@st.composite
def generated(draw: st.DrawFn) -> Adversarial:
    """A body of a MiB that repeats a few tokens of its content type."""
    content_type = draw(st.sampled_from(sorted(_TOKENS)))
    tokens = st.lists(st.sampled_from(_TOKENS[content_type]), max_size=6).map(b"".join)
    begin, unit, end = draw(tokens), draw(tokens) or b"a", draw(tokens)
    times = draw(st.sampled_from([1, 7, 150, 3000]))
    return Adversarial("", content_type, filled(unit * times, MIB, begin, end))


@pytest.mark.timeout(1200)  # a limit that passes within an example would count as its time
@settings(deadline=None, max_examples=by_form(100, 3000), suppress_health_check=list(HealthCheck))
@given(body=generated())
def test_every_generated_body_is_cheap(body: Adversarial) -> None:
    """Accepted, or refused with a 415."""
    refusal = assert_every_reader_is_cheap(webhook(), body.body, body.content_type)
    assert refusal is None or refusal.status == 415


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
