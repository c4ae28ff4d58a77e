"""Several executions in one conversation: whose question a message answers, and how long a question is open."""

import asyncio
from typing import Any

import pytest

from filas.flows.definition.flow_definition import ConversationSettings
from filas.flows.publishing_checks import check
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.jobs.flow_job import RunFlow
from tests.flow_runner.harness import Harness, chain, compiled_flow, flow, node, step
from tests.flow_runner.memory import Row
from tests.flow_runner.test_conversations import job
from tests.flow_runner.test_jobs import CONTEXT

MINUTE_MS = 60_000
IDLE_MS = 10 * MINUTE_MS
IDLE = {"conversation": {"idleMs": IDLE_MS}}
DELAY = chain(node("wait", "delay", ms=24 * 60 * MINUTE_MS, endOnReply=True), settings=IDLE)


def asking(prompt: str, *, timeout_edge: bool = True, settings: Any = IDLE, **data: Any) -> dict[str, Any]:
    """A flow whose output is the reply, or `none` if it leaves by `timeout`."""
    ask = node("ask", "input", prompt=prompt, variable="answer", **data)
    done, late = node("done", "end", output="{{ vars.answer }}"), node("late", "end", output="none")
    edges = "start>ask ask.out>done" + (" ask.timeout>late" if timeout_edge else "")
    nodes = [ask, done, late] if timeout_edge else [ask, done]
    return flow(*nodes, edges=edges, settings=settings, variables=[{"name": "answer"}])


class Versions:
    """The flows of a test. The number of a flow is the version of its executions."""

    def __init__(self, definitions: list[dict[str, Any]]) -> None:
        self.compiled = [compiled_flow(one) for one in definitions]

    async def get(self, _flow_id: str, version: int) -> CompiledFlow:
        await asyncio.sleep(0)
        return self.compiled[version]


class Talk:
    """A conversation in which several flows run."""

    def __init__(self, *definitions: dict[str, Any]) -> None:
        self.harness = Harness()
        flows: Any = Versions(list(definitions))
        self.harness.rows.settings = flows.compiled[0].settings.conversation
        self.run = RunFlow(self.harness.executions, flows, self.harness.engine, self.harness.clock, lambda: False)

    async def event(self, number: int) -> Row:
        """A business event starts a flow."""
        row = self.harness.rows.add(text=None)
        row.version, row.carries_message = number, False
        self.harness.clock.advance(1)
        await self.run(CONTEXT, job(row))
        return row

    async def say(self, text: str, number: int = 0) -> Row:
        row = self.harness.rows.add(text=text)
        row.version = number
        await self.run(CONTEXT, job(row))
        return row

    async def after(self, minutes: float) -> None:
        """The time passes, and what is due runs."""
        self.harness.clock.advance(minutes * 60)
        for row in list(self.harness.rows.rows.values()):
            if (row.wake_at is not None and row.wake_at <= self.harness.clock.now()) or row.status == "queued":
                await self.run(CONTEXT, job(row))

    async def run_cancelled(self) -> None:
        """The jobs of the executions that are to be cancelled."""
        for execution_id in self.harness.cancelled:
            await self.run(CONTEXT, job(self.harness.rows.rows[execution_id]))


# ---- the question that was asked last -------------------------------------------------------------


async def test_a_reply_answers_the_question_that_was_asked_last() -> None:
    """The older question is current again when the flow of the newer one has ended."""
    talk = Talk(asking("name?"), asking("address?"))
    first, second = await talk.event(0), await talk.event(1)
    await talk.say("Rua A")
    assert (first.status, second.output) == ("waiting-input", "Rua A")
    await talk.say("Ana")
    assert first.output == "Ana"


async def test_a_question_has_precedence_over_a_delay() -> None:
    """A reply is an answer to what was asked, also if a delay with `endOnReply` began later."""
    talk = Talk(asking("name?"), DELAY)
    first, second = await talk.event(0), await talk.event(1)
    await talk.say("Ana")
    assert (first.output, second.status) == ("Ana", "waiting-timer")
    await talk.say("hello?")
    assert second.status == "succeeded"


@pytest.mark.parametrize(
    ("older", "minutes", "expected"),
    [
        pytest.param({}, 9, ("waiting-input", None), id="the older one is current again"),
        pytest.param({}, 11, ("succeeded", "none"), id="it leaves by timeout"),
        pytest.param({"timeout_edge": False}, 11, ("timed-out", None), id="it times out"),
        pytest.param({"timeoutMs": 3 * IDLE_MS}, 11, ("succeeded", "none"), id="although it would wait longer"),
        pytest.param({"timeoutMs": 3 * IDLE_MS, "timeout_edge": False}, 11, ("timed-out", None), id="without an edge"),
        pytest.param({"timeoutMs": MINUTE_MS}, 2, ("succeeded", "none"), id="its own time is shorter"),
        pytest.param({"timeoutMs": MINUTE_MS, "timeout_edge": False}, 2, ("succeeded", None), id="and has no edge"),
    ],
)
async def test_an_older_question_is_open_for_idle_ms(older: dict[str, Any], minutes: float, expected: Any) -> None:
    talk = Talk(asking("name?", **older), asking("address?", timeoutMs=5 * IDLE_MS))
    first, second = await talk.event(0), await talk.event(1)
    await talk.after(minutes)
    assert (first.status, first.output) == expected
    assert second.status == "waiting-input"


@pytest.mark.parametrize(
    ("data", "minutes", "expected"),
    [
        pytest.param({}, 9, ("waiting-input", None), id="it is open for idleMs"),
        pytest.param({}, 11, ("succeeded", "none"), id="Monday's question is over on Friday"),
        pytest.param({"timeout_edge": False}, 11, ("timed-out", None), id="and times out without an edge"),
        pytest.param({"timeoutMs": 3 * IDLE_MS}, 29, ("waiting-input", None), id="its own time is longer"),
        pytest.param({"timeoutMs": 3 * IDLE_MS}, 31, ("succeeded", "none"), id="and ends"),
        pytest.param({"settings": {}}, 23 * 60, ("waiting-input", None), id="a day by default"),
        pytest.param({"settings": {}}, 25 * 60, ("succeeded", "none"), id="and no longer"),
    ],
)
async def test_a_question_that_was_asked_last(data: dict[str, Any], minutes: float, expected: Any) -> None:
    """Its own `timeoutMs` counts; without one, `idleMs`."""
    talk = Talk(asking("name?", **data))
    first = await talk.event(0)
    await talk.after(minutes)
    assert (first.status, first.output) == expected


async def test_a_sentence_after_a_question_that_is_over_starts_the_flow() -> None:
    talk = Talk(asking("name?"))
    first = await talk.event(0)
    await talk.after(11)
    sentence = await talk.say("quero cancelar meu plano")
    assert (first.output, sentence.resumed, sentence.status) == ("none", None, "waiting-input")


async def test_a_question_that_timed_out_states_why() -> None:
    talk = Talk(asking("name?", timeout_edge=False))
    first = await talk.event(0)
    await talk.after(11)
    assert first.error is not None
    assert (first.error.kind, first.error.node_id) == ("timeout", "ask")
    assert "settings.conversation.idleMs" in first.error.message
    assert step(first, "ask").status == "cancelled"


async def test_a_run_without_a_reply_keeps_the_order_of_the_questions() -> None:
    """A job that finds nothing to do asks nothing again."""
    talk = Talk(asking("name?", timeoutMs=3 * IDLE_MS), asking("address?"))
    first, second = await talk.event(0), await talk.event(1)
    first.wake_at = talk.harness.clock.now()
    await talk.after(1)
    assert (first.status, first.superseded) == ("waiting-input", True)
    await talk.say("Rua A")
    assert (first.status, second.output) == ("waiting-input", "Rua A")
    await talk.after(10)
    assert first.output == "none"


# ---- replace and restart ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, "waiting-input"), ({"onNewStart": "keep"}, "waiting-input"), ({"onNewStart": "replace"}, "cancelled")],
)
async def test_a_new_start_may_replace_what_waits(settings: dict[str, Any], status: str) -> None:
    definition = asking("name?", settings={"conversation": settings})
    talk = Talk(definition, asking("address?"))
    first, other = await talk.event(0), talk.harness.rows.add(contact="another", text=None)
    other.version = 1
    await talk.run(CONTEXT, job(other))
    second = await talk.event(0)
    await talk.run_cancelled()
    assert (first.status, second.status, other.status) == (status, "waiting-input", "waiting-input")


async def test_a_replacing_flow_still_gets_its_replies() -> None:
    """A reply is no new start."""
    talk = Talk(asking("name?", settings={"conversation": {"onNewStart": "replace"}}))
    first = await talk.event(0)
    await talk.say("Ana")
    assert (first.output, talk.harness.cancelled) == ("Ana", [])


RESTART = {"conversation": {"restartOn": ["menu", "Não quero mais", "0"]}}


@pytest.mark.parametrize("text", ["menu", " MENU! ", "mênu", "nao quero mais.", "Não  quero mais", "0️⃣", "0."])
async def test_a_text_restarts_the_conversation(text: str) -> None:
    """What waited is cancelled, and the webhook's flow starts from its beginning."""
    talk = Talk(asking("name?", settings=RESTART))
    first = await talk.event(0)
    restarted = await talk.say(text)
    await talk.run_cancelled()
    assert (first.status, step(first, "ask").status) == ("cancelled", "cancelled")
    assert (restarted.status, restarted.resumed) == ("waiting-input", None)
    await talk.say("Ana")
    assert restarted.output == "Ana"


@pytest.mark.parametrize("text", ["menus", "o menu", "00", "quero mais"])
async def test_another_text_is_a_reply(text: str) -> None:
    talk = Talk(asking("name?", settings=RESTART))
    first = await talk.event(0)
    await talk.say(text)
    assert first.output == text


async def test_a_restart_leaves_every_wait_of_the_conversation() -> None:
    """Also a delay, and the questions of other flows."""
    talk = Talk(asking("name?", settings=RESTART), asking("address?"), chain(node("wait", "delay", ms=IDLE_MS)))
    waiting = [await talk.event(number) for number in (0, 1, 2)]
    await talk.say("menu")
    await talk.run_cancelled()
    assert [row.status for row in waiting] == ["cancelled"] * 3


async def test_a_business_event_restarts_nothing() -> None:
    """It is not something that the contact said."""
    talk = Talk(asking("name?", settings=RESTART))
    first = await talk.event(0)
    event = talk.harness.rows.add(text="menu")
    event.version, event.carries_message = 0, False
    await talk.run(CONTEXT, job(event))
    assert (first.status, talk.harness.cancelled) == ("waiting-input", [])


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ({"idleMs": 0}, "settings.conversation.idleMs", "at least 1"),
        ({"idleMs": "1d"}, "settings.conversation.idleMs", "text"),
        ({"onNewStart": "stop"}, "settings.conversation.onNewStart", "known are keep, replace"),
        ({"restartOn": "menu"}, "settings.conversation.restartOn", "list"),
        ({"restartOn": [""]}, "settings.conversation.restartOn[0]", "at least 1 character"),
        ({"restartOn": ["menu", " \u200b"]}, "settings.conversation.restartOn[1]", "no visible character"),
        ({"idle": 1}, "settings.conversation.idle", "unknown field"),
        ([], "settings.conversation", "expected an object"),
    ],
)
def test_publishing_reports_wrong_settings(settings: Any, field: str, message: str) -> None:
    _, problems = check(asking("?", settings={"conversation": settings}))
    assert any(one.field == field and message in one.message for one in problems), problems


def test_the_default_is_to_keep_for_a_day() -> None:
    settings = compiled_flow(asking("?", settings={})).settings.conversation
    assert settings == ConversationSettings(idle_ms=24 * 3600 * 1000, on_new_start="keep", restart_on=[])
