"""The sentences of the doctor: every one of the code is in the catalogue, in each language, with its parameters."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import filas.doctor
import ingest.api.operations.doctor_routes
from filas.doctor.sentences import plain, sentence
from filas.messages.catalogue import LANGUAGES, Message, messages
from ingest.dashboard.presentation.texts import page_messages

DOCTOR = (*Path(filas.doctor.__file__).parent.glob("*.py"), Path(ingest.api.operations.doctor_routes.__file__))
SECTIONS = ("doctor", "why")


def calls(function: str) -> Iterator[ast.Call]:
    """The calls of a function in the code of the doctor."""
    for file in DOCTOR:
        for found in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(found, ast.Call) and isinstance(found.func, ast.Name) and found.func.id == function:
                yield found


def ids_of(call: ast.Call) -> list[str]:
    """The ids that a call names: a text, or a choice between texts. Those that are composed are left out."""
    return [
        one.value
        for one in ast.walk(call.args[0])
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value.count(".") == 1
        and not one.value.endswith((".", "-"))
    ]  # fmt: skip


def parameters_of(message: Message) -> set[str]:
    """The names of the parameters of a message."""
    forms = [message] if isinstance(message, str) else list(message.values())
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name}


def test_every_sentence_of_the_code_is_in_each_language_with_its_parameters() -> None:
    """So no finding fails because of its text."""
    named = 0
    for call in calls("sentence"):
        given = {one.arg for one in call.keywords if one.arg is not None}
        is_whole = all(one.arg is not None for one in call.keywords)
        for message_id in ids_of(call):
            named += 1
            for language in LANGUAGES:
                needed = parameters_of(messages(language)[message_id])
                assert needed <= given | ({"count"} & needed) or not is_whole, (language, message_id, needed - given)
    assert named > 90


def test_every_finding_is_made_of_sentences() -> None:
    """Nothing else makes one: its texts would be in English only."""
    assert len(list(calls("finding"))) >= 20
    files = {file.name: file.read_text("utf-8") for file in DOCTOR if file.name != "sentences.py"}
    for name, text in files.items():
        for kind in ("Finding", "Diagnosis"):
            made = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Call)]
            assert kind not in {getattr(one.func, "id", "") for one in made}, name


def test_every_code_has_a_title_and_a_sentence_in_each_language() -> None:
    """The codes are those of the titles on the pages."""
    for language in LANGUAGES:
        codes = {one.removeprefix("findings.") for one in page_messages(language) if one.startswith("findings.")}
        sentences = messages(language)
        for code in codes:
            variants = {
                "redis-unavailable": "unavailable", "postgres-unavailable": "unavailable",
                "webhook-without-flow": "webhook-flow-missing", "refusals-spike": "refusals-spike-path",
            }  # fmt: skip
            assert f"doctor.{variants.get(code, code)}" in sentences, code


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_portuguese_sentences_are_translated(language: str) -> None:
    """Only a few are the same in both languages: those that are a frame for other texts."""
    own, other = messages("pt-BR"), messages("en")
    same = {one for one in own if one.partition(".")[0] in SECTIONS and own[one] == other[one]}
    assert same <= {"doctor.error-at", "doctor.error-of", "why.in-brackets", "why.queue-paused-remedy"}, language


def test_a_sentence_contains_others_in_the_same_language() -> None:
    waiting = sentence("doctor.jobs-waiting", count=2)
    paused = sentence("doctor.queue-paused", queue="flow-processing", waiting=waiting)
    assert paused.en == "the queue flow-processing is paused; 2 jobs waiting"
    assert paused.pt == "a fila flow-processing está pausada; 2 jobs à espera"
    assert plain("{x}").pt == "{x}"
