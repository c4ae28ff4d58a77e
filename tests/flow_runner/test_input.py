"""`input` asks, waits without a worker, and reads the contact's next message as the reply."""

from typing import Any

import pytest

from filas.flows.publishing_checks import check
from filas.models.executions import ExecutionStatus
from tests.flow_runner.harness import Harness, flow, node, step
from tests.flow_runner.memory import Row
from tests.flow_runner.test_conversations import job, running
from tests.flow_runner.test_jobs import CONTEXT

CHOICES = [
    {"id": "red", "title": "Red"},
    {"id": "blue", "title": "Blue {{ vars.shade }}"},
    {"id": "x-2", "title": "Other"},
]
VARIABLES = [{"name": "answer"}, {"name": "shade", "default": "sky"}]


def asking(edges: str = "", **data: Any) -> dict[str, Any]:
    """A flow that asks, and whose output is the handle and the value."""
    choices = [choice["id"] for choice in data.get("choices", ())]
    ways = [way for way in ["out", "invalid", "timeout", *choices] if not edges or f"by-{way}" in edges]
    ways += ["other"] if "by-other" in edges else []
    ends = [node(f"by-{way}", "end", output={"way": way, "answer": "{{ vars.answer }}"}) for way in ways]
    edges = edges or " ".join(f"ask.{way}>by-{way}" for way in ways)
    ask = node("ask", "input", **{"prompt": "Which {{ vars.shade }}?", "variable": "answer"} | data)
    return flow(ask, *ends, edges=f"start>ask {edges}", variables=[dict(each) for each in VARIABLES])


class Dialogue:
    """A conversation with one flow."""

    def __init__(self, definition: dict[str, Any], **start: Any) -> None:
        self.harness = Harness()
        self.run = running(self.harness, definition)
        self.row = self.harness.rows.add(**start)

    async def begin(self) -> "Dialogue":
        await self.run(CONTEXT, job(self.row))
        return self

    async def say(self, text: str | None) -> Row:
        message = self.harness.rows.add(text=text)
        await self.run(CONTEXT, job(message))
        return message

    @property
    def sent(self) -> list[str]:
        return [one.payload["text"] for one in self.harness.rows.notifications.values()]


async def test_it_asks_once_and_waits_without_a_worker() -> None:
    talk = await Dialogue(asking()).begin()
    assert (talk.row.status, talk.sent) == ("waiting-input", ["Which sky?"])
    assert step(talk.row, "ask").status == "waiting"
    message = await talk.say("  the dark one ")
    assert (talk.row.status, talk.row.output) == ("succeeded", {"way": "out", "answer": "the dark one"})
    assert message.resumed is not None
    assert step(talk.row, "ask").output == {"text": "  the dark one ", "value": "the dark one", "asked": 1}


@pytest.mark.parametrize(
    ("data", "text", "value"),
    [
        ({}, "a", "a"),
        ({"kind": "number"}, "42", 42),
        ({"kind": "number"}, " -3,5 ", -3.5),
        ({"kind": "number"}, "+1.25", 1.25),
        ({"kind": "email"}, "Ana@Example.com.br", "Ana@Example.com.br"),
        ({"kind": "regex", "pattern": "^[0-9]{3}$"}, "123", "123"),
        ({"kind": "choice", "choices": CHOICES}, "red", "red"),
        ({"kind": "choice", "choices": CHOICES}, " BLUE SKY ", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "2", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "3.", "x-2"),
        ({"kind": "choice", "choices": CHOICES}, "2\ufe0f\u20e3", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "#2", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "(2)", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "2ª", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "\u0662", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "Blúe-sky!!", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "X 2", "x-2"),
        ({"kind": "choice", "choices": CHOICES}, "2 - blue sky", "blue"),
        ({"kind": "choice", "choices": CHOICES}, "3. Other", "x-2"),
        ({"kind": "choice", "choices": CHOICES}, "other \U0001f937", "x-2"),
        ({"kind": "number"}, "1.234,50", 1234.5),
        ({"kind": "number"}, "-1.000.000,25", -1000000.25),
        ({"kind": "phone"}, "+55 (11) 90000-0002", "+5511900000002"),
        ({"kind": "phone"}, "11 90000-0002", "+5511900000002"),
        ({"kind": "phone"}, "+1 202 555 0123", "+12025550123"),
        ({"kind": "date"}, "05/11/2026", "2026-11-05"),
        ({"kind": "date"}, " 5.11.2026 ", "2026-11-05"),
        ({"kind": "date"}, "5-11-2026", "2026-11-05"),
        ({"kind": "date"}, "2026-11-05", "2026-11-05"),
        ({"kind": "date"}, "29/02/2028", "2028-02-29"),
    ],
)
async def test_a_valid_reply_is_assigned_and_leaves_by_its_handle(data: dict[str, Any], text: str, value: Any) -> None:
    talk = await Dialogue(asking(**data)).begin()
    await talk.say(text)
    way = value if data.get("kind") == "choice" else "out"
    assert talk.row.output == {"way": way, "answer": value}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "  "),
        ({}, ""),
        ({"kind": "number"}, "twelve"),
        ({"kind": "number"}, "1,2,3"),
        ({"kind": "number"}, "1e400"),
        ({"kind": "number"}, "NaN"),
        ({"kind": "number"}, "9" * 400),
        ({"kind": "email"}, "ana@localhost"),
        ({"kind": "email"}, "ana example.com"),
        ({"kind": "email"}, "a" * 250 + "@example.com"),
        ({"kind": "regex", "pattern": "^[0-9]{3}$"}, "12"),
        ({"kind": "choice", "choices": CHOICES}, "green"),
        ({"kind": "choice", "choices": CHOICES}, "0"),
        ({"kind": "choice", "choices": CHOICES}, "4"),
        ({"kind": "choice", "choices": CHOICES}, "²"),
        ({"kind": "choice", "choices": CHOICES}, "1.5"),
        ({"kind": "choice", "choices": CHOICES}, "1 - blue sky"),
        ({"kind": "choice", "choices": CHOICES}, "1 2"),
        ({"kind": "choice", "choices": CHOICES}, "!"),
        ({"kind": "number"}, "1.500"),
        ({"kind": "number"}, "1_500"),
        ({"kind": "number"}, "inf"),
        ({"kind": "number"}, "1.50,5"),
        ({"kind": "phone"}, "my phone"),
        ({"kind": "phone"}, "123"),
        ({"kind": "phone"}, ""),
        ({"kind": "date"}, "29/02/2027"),
        ({"kind": "date"}, "11/25/2026"),
        ({"kind": "date"}, "05/11/26"),
        ({"kind": "date"}, "05/11-2026"),
        ({"kind": "date"}, "0000-01-01"),
        ({"kind": "date"}, "tomorrow"),
        ({"kind": "file"}, "a.pdf"),
        ({"kind": "location"}, "-23.5,-46.6"),
        ({"kind": "form"}, "name: Ana"),
    ],
)
async def test_an_invalid_reply_is_asked_for_again_and_then_leaves_by_invalid(data: dict[str, Any], text: str) -> None:
    """Twice by default, with the prompt for a retry. Each prompt has a key of its own."""
    talk = await Dialogue(asking(retryPrompt="Again, {{ vars.shade }}:", **data)).begin()
    for _ in range(3):
        assert talk.row.status == "waiting-input"
        await talk.say(text)
    assert talk.row.output == {"way": "invalid", "answer": None}
    assert talk.sent == ["Which sky?", "Again, sky:", "Again, sky:"]
    keys = [one.idempotency_key for one in talk.harness.rows.notifications.values()]
    assert keys == [f"{talk.row.id}:2", f"{talk.row.id}:2:2", f"{talk.row.id}:2:3"]
    assert step(talk.row, "ask").output["asked"] == 3


async def test_without_retries_the_first_invalid_reply_leaves_by_invalid() -> None:
    talk = await Dialogue(asking(kind="number", maxRetries=0)).begin()
    await talk.say("no")
    assert (talk.row.output["way"], talk.sent) == ("invalid", ["Which sky?"])


async def test_after_an_invalid_reply_a_valid_one_counts() -> None:
    talk = await Dialogue(asking(kind="number")).begin()
    await talk.say("no")
    await talk.say("7")
    assert (talk.row.output, talk.sent) == ({"way": "out", "answer": 7}, ["Which sky?", "Which sky?"])


async def test_the_choices_are_buttons_under_the_prompt() -> None:
    talk = await Dialogue(asking(kind="choice", choices=CHOICES)).begin()
    [sent] = talk.harness.rows.notifications.values()
    assert sent.payload == {
        "type": "buttons",
        "text": "Which sky?",
        "buttons": [
            {"id": "red", "title": "Red"},
            {"id": "blue", "title": "Blue sky"},
            {"id": "x-2", "title": "Other"},
        ],
    }
    assert (sent.channel_id, sent.recipient) == ("demo", "55119")


async def test_a_choice_without_an_edge_of_its_own_leaves_by_out() -> None:
    talk = await Dialogue(asking(kind="choice", choices=CHOICES, edges="ask.red>by-red ask.out>by-out")).begin()
    await talk.say("blue")
    assert (talk.row.output, step(talk.row, "ask").handle) == ({"way": "out", "answer": "blue"}, "out")


async def test_without_a_reply_in_time_it_leaves_by_timeout() -> None:
    """Each prompt starts the whole time again."""
    talk = await Dialogue(asking(kind="number", timeoutMs=60_000)).begin()
    talk.harness.clock.advance(59)
    await talk.say("no")
    talk.harness.clock.advance(59)
    assert await talk.run(CONTEXT, job(talk.row)) == {"status": "nothing-to-do"}
    talk.harness.clock.advance(2)
    await talk.run(CONTEXT, job(talk.row))
    assert talk.row.output == {"way": "timeout", "answer": None}


async def test_a_reply_at_the_end_of_the_time_is_not_lost() -> None:
    talk = await Dialogue(asking(timeoutMs=60_000)).begin()
    talk.harness.clock.advance(61)
    await talk.say("here")
    assert talk.row.output == {"way": "out", "answer": "here"}


async def test_without_a_timeout_it_waits_as_long_as_the_execution_may_last() -> None:
    definition = asking() | {"settings": {"timeoutMs": 5000}}
    talk = await Dialogue(definition).begin()
    talk.harness.clock.advance(6)
    await talk.run(CONTEXT, job(talk.row))
    assert (talk.row.status, step(talk.row, "ask").status) == ("timed-out", "cancelled")


async def test_without_a_conversation_the_node_fails() -> None:
    row = await Harness().run(asking(), channel=None, contact=None)
    assert row.error is not None
    assert (row.error.kind, row.error.node_id) == ("input", "ask")
    assert "no conversation" in row.error.message


async def test_a_reply_that_does_not_fit_the_variable_fails_the_node() -> None:
    definition = asking()
    definition["variables"][0]["type"] = "boolean"
    talk = await Dialogue(definition).begin()
    await talk.say("perhaps")
    assert talk.row.error is not None
    assert (talk.row.error.kind, talk.row.error.node_id) == ("variable", "ask")


@pytest.mark.parametrize("crash_at", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_killed_worker_asks_once_and_loses_no_reply(crash_at: int, when: str) -> None:
    """The worker is killed before or after each of the writes."""
    talk = Dialogue(asking(kind="number"))
    real, left = talk.harness.rows.checkpoint_many, crash_at

    async def killed(checkpoints: Any) -> list[ExecutionStatus | None]:
        nonlocal left
        left -= 1
        answers = await real(checkpoints) if left or when == "after" else []
        if left == 0:
            raise SystemError("killed")
        return answers

    talk.harness.rows.checkpoint_many = killed  # type: ignore[method-assign]

    async def survive(row: Row) -> None:
        try:
            await talk.run(CONTEXT, job(row))
        except SystemError:
            talk.harness.clock.advance(60)
            await talk.run(CONTEXT, job(row))

    await survive(talk.row)
    for text in ("no", "7"):
        message = talk.harness.rows.add(text=text)
        await survive(message)
    assert talk.row.output == {"way": "out", "answer": 7}
    assert talk.sent == ["Which sky?", "Which sky?"]


async def test_an_input_in_a_loop_asks_for_each_item() -> None:
    definition = flow(
        node("each", "loop", items="{{ 'a,b' | split: ',' }}"),
        node("ask", "input", prompt="{{ loop.item }}?"),
        edges="start>each each.loop>ask",
    )
    talk = await Dialogue(definition).begin()
    await talk.say("1")
    await talk.say("2")
    assert (talk.row.status, talk.sent) == ("succeeded", ["a?", "b?"])


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"kind": "choice"}, "choices", "is empty"),
        ({"choices": CHOICES}, "choices", "only with kind choice"),
        ({"kind": "regex"}, "pattern", "is required"),
        ({"kind": "regex", "pattern": "("}, "pattern", "invalid RE2 pattern"),
        ({"pattern": "a"}, "pattern", "only with kind regex"),
        ({"kind": "choice", "choices": [CHOICES[0], CHOICES[0]]}, "choices[1].id", "2 choices have the id 'red'"),
        ({"kind": "choice", "choices": [{"id": "timeout", "title": "t"}]}, "choices[0].id", "a handle of the node"),
        ({"kind": "choice", "choices": [{"id": "a", "title": "{{ vars.no }}"}]}, "choices[0].title", "variable 'no'"),
        ({"variable": "no"}, "variable", "unknown variable 'no'"),
        ({"maxRetries": 21}, "maxRetries", "at most 20"),
        ({"timeoutMs": 0}, "timeoutMs", "at least 1"),
        ({"kind": "colour"}, "kind", "unknown value 'colour'"),
        ({"collectMs": 0}, "collectMs", "at least 1"),
        ({"collectMs": 600_001}, "collectMs", "at most 600000"),
    ],
)
def test_publishing_reports_the_errors_of_an_input(data: dict[str, Any], field: str, message: str) -> None:
    ask = node("ask", "input", **{"prompt": "?"} | data)
    found = [
        (one.node_id, one.field, one.message) for one in check(flow(ask, edges="start>ask", variables=VARIABLES))[1]
    ]
    assert any((one[0], one[1]) == ("ask", field) and message in one[2] for one in found), found


def test_a_cycle_through_an_input_waits() -> None:
    assert check(flow(node("ask", "input", prompt="?"), edges="start>ask ask.invalid>ask"))[1] == []
