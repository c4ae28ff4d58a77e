"""Documented bodies with random changes: no reader raises, and every part of a batch becomes an event."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.storable_text import is_storable
from filas.models.event_kinds import CONTENT_KINDS, OTHER_KINDS
from ingest.event.conversation import ConversationReader
from ingest.providers.known_providers import PROVIDERS
from tests.ingest.provider_cases import messenger, slack, telegram, twilio, whatsapp

DOCUMENTS = {
    "meta": [case.document for case in (*whatsapp.CASES, *messenger.CASES)],
    "telegram": [case.document for case in telegram.CASES],
    "slack": [case.document for case in slack.CASES],
    "twilio": [case.document for case in twilio.CASES],
}

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)

Place = tuple[Any, Any]
"""A container and the key or index of one of its elements."""


def _places(value: Any) -> list[Place]:
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _drop(container: Any, key: Any, _value: Any) -> None:
    del container[key]


def _retype(container: Any, key: Any, value: Any) -> None:
    container[key] = value


def _nest(container: Any, key: Any, value: Any) -> None:
    container[key] = [container[key]] if isinstance(value, bool) else {"x": container[key]}


def _repeat(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    else:
        container[f"{key}{value}"[:50]] = copy.deepcopy(container[key])


MUTATIONS: list[Callable[[Any, Any, Any], None]] = [_drop, _retype, _nest, _repeat]


@st.composite
def mutated(draw: st.DrawFn, provider: str) -> Any:
    """A documented body of `provider` with one to four random changes."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS[provider])))
    for _ in range(draw(st.integers(1, 4))):
        places = _places(document)
        if not places:
            break
        container, key = places[draw(st.integers(0, len(places) - 1))]
        draw(st.sampled_from(MUTATIONS))(container, key, draw(VALUES))
    return document


def _check(provider: str, document: Any) -> None:
    reader = PROVIDERS[provider]
    reader.receipts(document)
    reader.channel(document)
    assert len(reader.messages(document)) == len(list(reader.parts(document))) >= 1
    for part in reader.parts(document):
        (message,) = reader.messages(part.document)
        assert message.kind in CONTENT_KINDS | OTHER_KINDS
        assert part.key
        assert message.contact is None or is_storable(message.contact)
        msgspec.json.encode(message)
        found = ConversationReader(provider, None).starts(
            {"body": part.document, "headers": {}, "queryParams": {}}, "k"
        )
        assert bool(found.starts) == (message.kind in CONTENT_KINDS)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
def test_a_mutated_body_loses_no_part(provider: str, data: st.DataObject) -> None:
    """Each part is one event of a known kind, and only content starts something."""
    _check(provider, data.draw(mutated(provider)))


@pytest.mark.parametrize("provider", PROVIDERS)
@given(document=VALUES)
def test_any_document_is_one_event(provider: str, document: Any) -> None:
    _check(provider, document)


@given(elements=st.lists(VALUES, min_size=1, max_size=5), name=st.sampled_from(["messages", "statuses", "calls"]))
def test_each_element_of_a_batch_is_an_event(elements: list[Any], name: str) -> None:
    """Whatever its type is."""
    body = {"entry": [{"changes": [{"value": {name: elements}}], "messaging": elements}]}
    assert len(list(PROVIDERS["meta"].parts(body))) == 2 * len(elements)
    _check("meta", body)
