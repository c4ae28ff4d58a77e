"""The message catalogue: both languages have the same messages with the same parameters."""

import string

import pytest

from filas.messages.catalogue import LANGUAGES, Language, Message, messages, text

FORMS = {"one", "other"}
COMBINED = ("doctor.", "why.")
"""The sections of the doctor, whose texts are parts of sentences."""


def parameters(message: Message) -> dict[str, set[tuple[str, str]]]:
    """The parameters of each form of a message, with their formats."""
    forms = message if isinstance(message, dict) else {"": message}
    return {
        form: {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(template) if name is not None}
        for form, template in forms.items()
    }


def test_every_language_has_the_same_messages() -> None:
    """A message that one language lacks would be an error when a user reads it."""
    assert {language: messages(language).keys() ^ messages("en").keys() for language in LANGUAGES} == {
        language: set() for language in LANGUAGES
    }


@pytest.mark.parametrize("message_id", messages("en"))
def test_a_message_has_the_same_forms_and_parameters_in_every_language(message_id: str) -> None:
    """Parameters have names and formats, so that a translator may change their order and nothing else."""
    english = parameters(messages("en")[message_id])
    for language in LANGUAGES:
        assert parameters(messages(language)[message_id]) == english, language
    assert english.keys() in ({""}, FORMS)
    for found in english.values():
        assert all(name.isidentifier() for name, _ in found)
        assert "" in english or "count" in {name for name, _ in found}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("message_id", [one for one in messages("en") if not one.startswith(COMBINED)])
def test_a_message_is_a_sentence(language: Language, message_id: str) -> None:
    """It starts with a capital letter or a parameter, and ends with a full stop."""
    message = messages(language)[message_id]
    for template in message.values() if isinstance(message, dict) else [message]:
        assert template[0] == "{" or template[0].isupper()
        assert template.endswith(".")
        assert template == template.strip()


def test_the_number_selects_the_form() -> None:
    """One job, and any other number of jobs."""
    assert text("en", "scaling.no-worker", count=1) == "1 job waits and no worker runs."
    assert text("en", "scaling.no-worker", count=2) == "2 jobs wait and no worker runs."
    assert text("pt-BR", "scaling.no-worker", count=1) == "1 job espera e nenhum worker está ativo."
    assert text("pt-BR", "scaling.no-worker", count=2) == "2 jobs esperam e nenhum worker está ativo."


def test_a_mistake_in_the_code_is_an_error() -> None:
    """An unknown message and a missing parameter raise KeyError; nothing is shown half filled."""
    with pytest.raises(KeyError):
        text("en", "scaling.no-such-reason")
    with pytest.raises(KeyError):
        text("en", "scaling.at-least")
