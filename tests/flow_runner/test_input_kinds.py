"""Replies to an `input` that are more than one text: media, places, forms, pressed buttons, and bursts of messages."""

from typing import Any

import pytest

from filas.flows.publishing_checks import check
from tests.flow_runner.harness import flow, node, step
from tests.flow_runner.test_conversations import job
from tests.flow_runner.test_input import CHOICES, Dialogue, asking
from tests.flow_runner.test_jobs import CONTEXT

PHOTO = {"id": "M1", "url": None, "mimeType": "image/jpeg", "filename": None, "caption": "me", "size": 7}
PLACE = {"latitude": -23.5, "longitude": -46.6, "name": "MASP", "address": None}
CARD = {"name": "Ana", "phones": [{"phone": "+55 11 98765-0001"}], "emails": []}


async def send(talk: Dialogue, **message: Any) -> None:
    """The contact sends a message of any kind."""
    row = talk.harness.rows.add(text=message.pop("text", ""), message=message)
    await talk.run(CONTEXT, job(row))


@pytest.mark.parametrize(
    ("kind", "message", "value"),
    [
        (
            "file",
            {"kind": "image", "text": "me", "media": PHOTO},
            {"id": "M1", "mimeType": "image/jpeg", "caption": "me", "size": 7},
        ),
        ("file", {"kind": "document", "media": {"url": "https://x.example/a.pdf"}}, {"url": "https://x.example/a.pdf"}),
        ("location", {"kind": "location", "text": "MASP", "data": PLACE}, PLACE),
        (
            "location",
            {"kind": "location", "data": {"latitude": 0, "longitude": 0}},
            {"latitude": 0, "longitude": 0, "name": None, "address": None},
        ),
        ("form", {"kind": "form", "data": {"name": "Ana", "age": 30}}, {"name": "Ana", "age": 30}),
        ("phone", {"kind": "contacts", "text": "Ana", "data": {"contacts": [CARD]}}, "+5511987650001"),
        ("text", {"kind": "image", "text": "the caption", "media": PHOTO}, "the caption"),
    ],
)
async def test_a_message_has_the_value_of_its_kind(kind: str, message: dict[str, Any], value: Any) -> None:
    talk = await Dialogue(asking(kind=kind)).begin()
    await send(talk, **message)
    assert talk.row.output == {"way": "out", "answer": value}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", {"kind": "audio", "media": PHOTO}),
        ("file", {"kind": "location", "data": PLACE}),
        ("file", {"kind": "image", "media": {"id": None}}),
        ("location", {"kind": "form", "data": PLACE}),
        ("location", {"kind": "location", "data": {"latitude": None, "longitude": 1}}),
        ("location", {"kind": "location"}),
        ("form", {"kind": "location", "data": PLACE}),
        ("form", {"kind": "form"}),
        ("phone", {"kind": "contacts", "data": {"contacts": [{"name": "Ana", "phones": []}]}}),
        ("phone", {"kind": "contacts", "data": {"contacts": []}}),
        ("number", {"kind": "image", "media": PHOTO}),
    ],
)
async def test_a_message_of_another_kind_is_asked_for_again(kind: str, message: dict[str, Any]) -> None:
    talk = await Dialogue(asking(kind=kind)).begin()
    await send(talk, **message)
    assert (talk.row.status, len(talk.sent)) == ("waiting-input", 2)


@pytest.mark.parametrize(
    ("locale", "text", "value"),
    [
        ("en-US", "11/05/2026", "2026-11-05"),
        ("en-US", "2026-11-05", "2026-11-05"),
        ("en-GB", "05/11/2026", "2026-11-05"),
        ("ja", "2026/11/05", "2026-11-05"),
        ("ja", "05/11/2026", None),
    ],
)
async def test_the_locale_decides_how_a_date_is_written(locale: str, text: str, value: str | None) -> None:
    talk = await Dialogue(asking(kind="date") | {"settings": {"locale": locale}}).begin()
    await talk.say(text)
    assert (talk.row.output or {}).get("answer") == value


@pytest.mark.parametrize(
    ("locale", "text", "value"),
    [("en-US", "1,234.50", 1234.5), ("en-US", "3.5", 3.5), ("en-US", "3,5", None), ("en-US", "1.234,50", None)],
)
async def test_the_locale_decides_how_a_number_is_written(locale: str, text: str, value: float | None) -> None:
    talk = await Dialogue(asking(kind="number") | {"settings": {"locale": locale}}).begin()
    await talk.say(text)
    assert (talk.row.output or {}).get("answer") == value


async def test_the_locale_decides_the_country_of_a_phone_number() -> None:
    talk = await Dialogue(asking(kind="phone") | {"settings": {"locale": "en-US"}}).begin()
    await talk.say("(202) 555-0123")
    assert talk.row.output["answer"] == "+12025550123"


# ---- choices ---------------------------------------------------------------------------------------

ALIKE = [
    {"id": "c", "title": "C"},
    {"id": "cpp", "title": "C++"},
    {"id": "a1", "title": "1,5 l"},
    {"id": "15", "title": "15 l"},
]


@pytest.mark.parametrize(
    ("choices", "message", "value"),
    [
        pytest.param(CHOICES, {"kind": "button", "text": "Red", "data": {"id": "blue"}}, "blue", id="a pressed button"),
        pytest.param(CHOICES, {"kind": "list", "text": "?", "data": {"id": "x-2"}}, "x-2", id="an item of a list"),
        pytest.param(CHOICES, {"kind": "button", "text": "Red", "data": {"id": "old"}}, "red", id="an unknown id"),
        pytest.param(CHOICES, {"kind": "text", "text": "Red", "data": {"id": "blue"}}, "red", id="data of a text"),
        pytest.param(ALIKE, {"text": "c++"}, "cpp", id="symbols count if both titles exist"),
        pytest.param(ALIKE, {"text": "c"}, "c", id="and without them"),
        pytest.param(ALIKE, {"text": "1.5 L"}, "a1", id="a decimal"),
        pytest.param(ALIKE, {"text": "15"}, "15", id="an id before a number"),
        pytest.param(
            [{"id": "2", "title": "First"}, {"id": "1", "title": "Second"}],
            {"text": "1"},
            "1",
            id="ids that are numbers",
        ),
        pytest.param(
            [{"id": "x", "title": "20"}, {"id": "y", "title": "1"}], {"text": "1"}, "y", id="titles that are numbers"
        ),
    ],
)
async def test_a_choice_is_found(choices: Any, message: dict[str, Any], value: str) -> None:
    talk = await Dialogue(asking(kind="choice", choices=choices)).begin()
    await send(talk, **message)
    assert talk.row.output == {"way": value, "answer": value}


async def test_a_reply_that_may_be_two_choices_is_none() -> None:
    choices = [{"id": "a", "title": "Não!"}, {"id": "b", "title": "Nao?"}]
    talk = await Dialogue(asking(kind="choice", choices=choices)).begin()
    await talk.say("nao")
    assert talk.row.status == "waiting-input"
    await talk.say("não!")
    assert talk.row.output["answer"] == "a"


@pytest.mark.parametrize(
    "message", [{"text": "quero falar com alguém"}, {"kind": "audio", "media": PHOTO}, {"text": "9"}]
)
async def test_a_reply_that_is_no_choice_leaves_by_other_at_once(message: dict[str, Any]) -> None:
    talk = await Dialogue(asking(kind="choice", choices=CHOICES, edges="ask.red>by-red ask.other>by-other")).begin()
    await send(talk, **message)
    assert (talk.row.status, step(talk.row, "ask").handle, len(talk.sent)) == ("succeeded", "other", 1)
    assert step(talk.row, "ask").output["problem"] == "the reply is not one of the choices"


async def test_without_an_edge_at_other_the_question_is_asked_again() -> None:
    talk = await Dialogue(asking(kind="choice", choices=CHOICES)).begin()
    await talk.say("quero falar com alguém")
    assert (talk.row.status, len(talk.sent)) == ("waiting-input", 2)


async def test_a_choice_may_be_called_other() -> None:
    """In a flow of an older version, for example. Its handle is then its own."""
    choices = [*CHOICES, {"id": "other", "title": "Something else"}]
    talk = await Dialogue(asking(kind="choice", choices=choices)).begin()
    await talk.say("no such thing")
    assert (talk.row.status, len(talk.sent)) == ("waiting-input", 2)
    await talk.say("something else")
    assert talk.row.output == {"way": "other", "answer": "other"}


@pytest.mark.parametrize(("kind", "errors"), [("choice", 0), ("text", 1)])
def test_only_choices_have_the_handle_other(kind: str, errors: int) -> None:
    ask = node(
        "ask", "input", prompt="?", kind=kind, **({"choices": [{"id": "a", "title": "A"}]} if not errors else {})
    )
    problems = check(flow(ask, node("end", "end"), edges="start>ask ask.other>end"))[1]
    assert len([one for one in problems if "other" in one.message]) == errors


# ---- bursts ----------------------------------------------------------------------------------------


def collecting(**data: Any) -> dict[str, Any]:
    """A flow that shows `conversation.text` after the question."""
    ask = node("ask", "input", prompt="?", variable="answer", collectMs=3000, **data)
    end = node("end", "end", output=["{{ vars.answer }}", "{{ conversation.text }}", "{{ conversation.message.text }}"])
    return flow(ask, end, edges="start>ask ask.out>end ask.invalid>end", variables=[{"name": "answer"}])


async def burst(talk: Dialogue, *texts: str, every_s: float = 2.0) -> None:
    for text in texts:
        await talk.say(text)
        assert talk.row.status == "waiting-input"
        talk.harness.clock.advance(every_s)


async def let_it_end(talk: Dialogue) -> None:
    talk.harness.clock.advance(3)
    await talk.run(CONTEXT, job(talk.row))


@pytest.mark.parametrize(
    ("data", "texts", "value"),
    [
        ({}, ["oi", "quero", "uma pizza"], "oi\nquero\numa pizza"),
        ({}, ["oi"], "oi"),
        ({"kind": "number"}, ["são", "33"], 33),
        ({"kind": "number"}, ["32", "ops, 33 anos", "34"], 34),
        ({"kind": "email"}, ["claro", "ana@example.com", "obrigada"], "ana@example.com"),
    ],
)
async def test_a_burst_of_messages_is_one_reply(data: dict[str, Any], texts: list[str], value: Any) -> None:
    """Each message starts the time again. `conversation.text` is the joined text."""
    talk = await Dialogue(collecting(**data)).begin()
    await burst(talk, *texts)
    await let_it_end(talk)
    joined = "\n".join(texts)
    assert talk.row.output == [value, joined, joined]
    assert talk.sent == ["?"]


async def test_an_invalid_burst_is_asked_for_again() -> None:
    talk = await Dialogue(collecting(kind="number", maxRetries=1)).begin()
    await burst(talk, "what", "for?")
    await let_it_end(talk)
    assert (talk.row.status, len(talk.sent)) == ("waiting-input", 2)
    await burst(talk, "33")
    await let_it_end(talk)
    assert talk.row.output[0] == 33


async def test_the_time_of_the_question_does_not_end_a_burst() -> None:
    talk = await Dialogue(collecting(timeoutMs=4000)).begin()
    await burst(talk, "a", "b", "c")
    await let_it_end(talk)
    assert talk.row.output[0] == "a\nb\nc"


async def test_a_burst_is_bounded() -> None:
    """The reply of a contact that never stops is complete after 50 messages."""
    talk = await Dialogue(collecting()).begin()
    await burst(talk, *["x"] * 49, every_s=1)
    await talk.say("x")
    assert talk.row.status == "succeeded"


async def test_a_burst_of_large_messages_is_bounded() -> None:
    talk = await Dialogue(collecting()).begin()
    await burst(talk, "x" * 100_000)
    await talk.say("x" * 100_000)
    assert talk.row.status == "succeeded"


@pytest.mark.parametrize("crash_at", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_killed_worker_loses_no_message_of_a_burst(crash_at: int, when: str) -> None:
    talk = await Dialogue(collecting()).begin()
    real, left = talk.harness.rows.checkpoint_many, crash_at

    async def killed(checkpoints: Any) -> Any:
        nonlocal left
        left -= 1
        answers = await real(checkpoints) if left or when == "after" else []
        if left == 0:
            raise SystemError("killed")
        return answers

    talk.harness.rows.checkpoint_many = killed  # type: ignore[method-assign]
    for text in ("a", "b"):
        message = talk.harness.rows.add(text=text)
        await survive(talk, message)
    talk.harness.clock.advance(3)
    await survive(talk, talk.row)
    assert talk.row.output[0] == "a\nb"


async def survive(talk: Dialogue, row: Any) -> None:
    """Runs the job of an execution, again after a kill."""
    try:
        await talk.run(CONTEXT, job(row))
    except SystemError:
        talk.harness.clock.advance(60 if talk.row.status == "running" else 0)
        await talk.run(CONTEXT, job(row))
