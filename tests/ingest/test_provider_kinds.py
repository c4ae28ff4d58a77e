"""What flows get of each documented event of each provider, and what starts something."""

from typing import Any

import pytest

from filas.models.configuration import ConversationRule
from filas.models.event_kinds import CONTENT_KINDS, OTHER_KINDS
from ingest.event.conversation import ConversationReader
from ingest.providers.known_providers import PROVIDERS
from tests.ingest.provider_cases import messenger, slack, telegram, twilio, whatsapp
from tests.ingest.provider_cases.case import ANY, Case

CASES = [
    pytest.param(provider, case, id=f"{module}-{case.name}")
    for module, provider, cases in (
        ("whatsapp", "meta", whatsapp.CASES),
        ("messenger", "meta", messenger.CASES),
        ("telegram", "telegram", telegram.CASES),
        ("slack", "slack", slack.CASES),
        ("twilio", "twilio", twilio.CASES),
    )
    for case in cases
]


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_a_documented_event(provider: str, case: Case) -> None:
    (message,) = PROVIDERS[provider].messages(case.document)
    assert (message.kind, message.text, message.media) == (case.kind, case.text, case.media)
    if case.data is not ANY:
        assert message.data == case.data
    if case.contact is not ANY:
        assert message.contact == case.contact
    assert {name: getattr(message, name) for name in case.more} == case.more
    (part,) = PROVIDERS[provider].parts(case.document)
    assert part.document == case.document
    assert part.key
    assert part.is_status == (case.kind == "status" or case.name == "captured payment")
    if case.kind in CONTENT_KINDS:
        assert part.contact == message.contact  # so the jobs of a conversation are one group


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_only_content_starts_something(provider: str, case: Case) -> None:
    """The other events are ignored, with their kind as the reason."""
    found = ConversationReader(provider, None).starts(_scope(case.document), "k")
    if case.kind in CONTENT_KINDS:
        assert len(found.starts) == 1
        assert found.reason is None
    else:
        assert found.starts == []
        assert found.reason == f"kind:{case.kind}"


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_a_webhook_may_accept_every_kind(provider: str, case: Case) -> None:
    rule = ConversationRule(accept=tuple(sorted(OTHER_KINDS)))  # type: ignore[arg-type]
    found = ConversationReader(provider, rule).starts(_scope(case.document), "k")
    assert [start.message and start.message.kind for start in found.starts] == [case.kind]


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_the_original_is_at_the_path_of_the_message(provider: str, case: Case) -> None:
    """Flows read it as `conversation.message.raw`."""
    (message,) = PROVIDERS[provider].messages(case.document)
    found = case.document
    for segment in message.raw_path:
        if isinstance(found, str):  # the form field `payload`
            break
        found = found[segment]
    assert found is not None


def test_every_kind_has_a_case() -> None:
    assert {case.values[1].kind for case in CASES} == CONTENT_KINDS | OTHER_KINDS  # type: ignore[union-attr]


def _scope(document: Any) -> dict[str, Any]:
    return {"body": document, "headers": {}, "queryParams": {}}
