"""Test runs: the real engine, no outbound call, and no wait."""

import asyncio
import uuid
from typing import Any

import pytest

from filas.contract.jobs import FlowTestJob, GivenAnswer
from filas.crypto.redaction import HIDDEN
from filas.errors import NewerVersionRequired, PermanentError
from filas.models.flow_tests import FlowTestResult
from filas.queue.job_functions import JobContext
from flow_runner.flow_test.flow_test_run import FlowTest
from flow_runner.jobs.flow_test_job import RunFlowTest
from tests.flow_runner.harness import KnownFlows, KnownSecrets, chain, flow, node
from tests.flow_runner.memory import MemoryClock

HI = node("hi", "message", text="Olá {{ vars.nome }}!")
NAME = [{"name": "nome", "default": "ninguém"}]
CALL = node("call", "api", url="https://crm.example/x", responseMapping=[{"variable": "nome", "path": "body.name"}])
DAY_MS = 24 * 3600 * 1000


def job(definition: dict[str, Any], **given: Any) -> FlowTestJob:
    """A test run of a flow in a conversation, started by the message "oi"."""
    defaults: dict[str, Any] = {
        "run_id": uuid.uuid4(),
        "flow_id": "flow",
        "version": 3,
        "definition": definition,
        "node_id": None,
        "trigger": {"body": {"text": "oi"}, "headers": {}, "queryParams": {}},
        "message": {"text": "oi", "contact": "55119"},
        "channel": "demo",
        "contact": "55119",
        "vars": {},
        "outputs": {},
        "replies": [],
        "answers": {},
    }
    return FlowTestJob(**{**defaults, **given})


async def run_of(definition: dict[str, Any], secrets: dict[str, str] | None = None, **given: Any) -> FlowTestResult:
    known = KnownSecrets()
    known.values = secrets or {}
    return await FlowTest(job(definition, **given), known, KnownFlows()).run()


def path(result: FlowTestResult) -> list[str]:
    return [step.node_id for step in result.steps]


async def test_a_flow_runs_to_its_end_and_shows_what_it_would_have_sent() -> None:
    """The call gets the defined answer, the message is recorded, and variables and steps are shown."""
    answer = GivenAnswer(body={"name": "Ana"})
    result = await run_of(chain(CALL, HI, variables=NAME), answers={"call": [answer]})
    assert (result.status, result.error, path(result)) == ("succeeded", None, ["start", "call", "hi"])
    request, message = result.calls
    assert (request.node_id, request.type, request.method, request.url) == ("call", "api", "GET", CALL["data"]["url"])
    assert request.answer == {"status": 200, "body": {"name": "Ana"}}
    assert (message.node_id, message.channel, message.to) == ("hi", "demo", "55119")
    assert message.payload == {"type": "text", "text": "Olá Ana!"}
    assert result.vars == {"nome": "Ana"}
    assert (result.flow_id, result.version) == ("flow", 3)


async def test_waits_take_no_time_and_are_shown() -> None:
    """Thirty days pass, only on the run's clock."""
    result = await run_of(
        chain(node("wait", "delay", ms=30 * DAY_MS), HI, variables=NAME, settings={"timeoutMs": 10**10})
    )
    assert (result.status, path(result)) == ("succeeded", ["start", "wait", "hi"])
    wait = result.steps[1]
    assert wait.ended_at is not None
    assert (wait.ended_at - wait.started_at).days == 30
    assert (result.ended_at - result.started_at).days == 30
    assert result.took_ms < 10_000


async def test_the_time_out_of_the_flow_applies_on_the_runs_clock() -> None:
    result = await run_of(
        chain(node("wait", "delay", ms=2 * DAY_MS), HI, variables=NAME, settings={"timeoutMs": DAY_MS})
    )
    assert (result.status, path(result)) == ("timed-out", ["start", "wait"])


@pytest.mark.parametrize(
    ("replies", "ended_by", "days", "unused"),
    [([], "time", 1, 0), (["sim"], "reply", 0, 0), ([None], "time", 1, 0), (["sim", "eh"], "reply", 0, 1)],
)
async def test_a_reply_ends_a_delay(replies: list[str | None], ended_by: str, days: int, unused: int) -> None:
    """With a reply at once, without a reply, and with a null reply, after which the delay ends at its time."""
    wait = node("wait", "delay", ms=DAY_MS, endOnReply=True)
    said = node("said", "message", text="{{ conversation.text }}")
    result = await run_of(chain(wait, said), replies=replies)
    assert result.status == "succeeded"
    assert result.steps[1].output["endedBy"] == ended_by
    assert (result.ended_at - result.started_at).days == days
    assert result.calls[0].payload == {"type": "text", "text": "sim" if ended_by == "reply" else "oi"}
    assert result.unused_replies == unused


async def test_retries_are_made_at_once_and_each_call_is_shown() -> None:
    """A time-out, a 503 and a success are three calls of one step, with the full waits on the run's clock."""
    call = {**CALL, "data": {**CALL["data"], "retry": {"maxAttempts": 3, "delayMs": 60_000}}}
    answers = [GivenAnswer(error="timeout"), GivenAnswer(status=503), GivenAnswer(body={"name": "Ana"})]
    result = await run_of(chain(call, HI, variables=NAME), answers={"call": answers})
    assert result.status == "succeeded"
    assert [(one.attempt, one.answer.get("error"), one.answer.get("status")) for one in result.calls[:3]] == [
        (1, "timeout", None),
        (2, None, 503),
        (3, None, 200),
    ]
    assert result.steps[1].attempt == 3
    assert (result.calls[2].at - result.calls[0].at).total_seconds() >= 120


async def test_a_run_may_start_at_any_node_with_earlier_results() -> None:
    """The test defines variables of both scopes and the outputs of nodes that did not run."""
    variables = [*NAME, {"name": "pedidos", "type": "number", "scope": "conversation"}]
    summary = node("summary", "message", text="{{ vars.nome }} {{ vars.pedidos }} {{ nodes.call.output.body.id }}")
    plus = node("plus", "set-variable", assignments=[{"variable": "pedidos", "value": "{{ vars.pedidos | plus: 1 }}"}])
    definition = chain(CALL, plus, summary, variables=variables)
    given: dict[str, Any] = {"vars": {"nome": "Ana", "pedidos": 4}, "outputs": {"call": {"body": {"id": 7}}}}
    result = await run_of(definition, node_id="plus", **given)
    assert (result.status, path(result)) == ("succeeded", ["plus", "summary"])
    assert result.calls[0].payload == {"type": "text", "text": "Ana 5 7"}
    assert result.vars == {"nome": "Ana", "pedidos": 5}


async def test_variables_of_the_conversation_are_kept_over_a_wait() -> None:
    variables = [{"name": "quem", "scope": "conversation"}]
    remember = node("remember", "set-variable", assignments=[{"variable": "quem", "value": "Ana"}])
    sent = node("sent", "message", text="{{ vars.quem }}")
    result = await run_of(chain(remember, HI, node("wait", "delay", ms=5), sent, variables=variables + NAME))
    assert result.calls[-1].payload == {"type": "text", "text": "Ana"}


async def test_no_secret_is_shown() -> None:
    """A flow's secret, a secret variable and a signing secret, in address, headers, body, payload and variables."""
    send = node(
        "send", "webhook", mode="send", url="https://x.example/{{ secrets.key }}", secret="whsec_c2lnbmluZy1zZWNyZXQ=",
        headers={"X-Anything": "{{ secrets.key }}"}, body={"pin": "{{ vars.pin }}", "key": "{{ secrets.key }}"},
    )  # fmt: skip
    sent = node("sent", "message", text="{{ vars.pin }} {{ secrets.key }}")
    pin = [{"name": "pin", "secret": True, "default": "pin-4711"}]
    result = await run_of(chain(send, sent, variables=pin), secrets={"key": "the-key-9"}, real_secrets=True)
    assert result.status == "succeeded"
    assert len(result.calls) == 2
    assert result.vars == {"pin": HIDDEN}
    for secret in ("pin-4711", "the-key-9", "c2lnbmluZy1zZWNyZXQ="):
        assert secret not in str(result)


async def test_a_run_has_placeholders_instead_of_secrets() -> None:
    """A template cannot show a part of a secret. A signed webhook is signed with the placeholder."""
    shown = node(
        "shown", "end", output={"part": "{{ secrets.key | upcase | slice: 0, 9 }}", "whole": "{{ secrets.key }}"}
    )
    send = node("send", "webhook", mode="send", url="https://x.example/", secret="{{ secrets.signing }}", body={})
    given = {"key": "the-key-9", "signing": "whsec_c2lnbmluZy1zZWNyZXQ="}
    result = await run_of(chain(send, shown), secrets=given)
    assert (result.status, result.error) == ("succeeded", None)
    assert result.output == {"part": "SECRET:KE", "whole": "secret:key"}
    assert "the-key" not in str(result).lower()
    real = await run_of(chain(send, shown), secrets=given, real_secrets=True)
    assert (real.status, real.output["whole"]) == ("succeeded", HIDDEN)


async def test_a_failure_names_its_node_and_the_error_flow() -> None:
    definition = chain(CALL, HI, variables=NAME, settings={"errorFlowId": "sorry"})
    result = await run_of(definition, answers={"call": [GivenAnswer(status=404)]})
    assert (result.status, result.error_flow_id) == ("failed", "sorry")
    assert result.error is not None
    assert (result.error.kind, result.error.node_id) == ("http-status", "call")


async def test_without_a_conversation_a_message_needs_its_own_channel() -> None:
    result = await run_of(chain(HI, variables=NAME), channel=None, contact=None, message=None)
    assert result.status == "failed"
    assert result.error is not None
    assert "no channel" in result.error.message


async def test_a_run_that_lasts_too_long_is_stopped_and_shows_its_steps() -> None:
    """The flow is a cycle with a delay."""
    wait = node("wait", "delay", ms=1000)
    definition = flow(wait, edges="start>wait wait>wait", settings={"maxSteps": 100_000, "maxVisitsPerNode": 100_000})
    result = await FlowTest(job(definition), KnownSecrets(), KnownFlows(), wall_s=0.05).run()
    assert result.status == "stopped"
    assert result.error is not None
    assert result.error.kind == "limit"
    assert len(result.steps) > 2


async def test_a_run_of_too_many_steps_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_runner.flow_test.flow_test_run.MAX_STEPS", 50)
    wait = node("wait", "delay", ms=1000)
    result = await run_of(flow(wait, edges="start>wait wait>wait"))
    assert (result.status, result.error and result.error.kind) == ("stopped", "limit")
    assert len(result.steps) == 51


async def test_a_long_computation_does_not_block_the_event_loop() -> None:
    """Other tasks of the event loop run all the time, although this flow never waits."""
    wait = node("wait", "delay", ms=1000)
    definition = flow(wait, edges="start>wait wait>wait", settings={"maxSteps": 100_000, "maxVisitsPerNode": 100_000})
    run = asyncio.create_task(FlowTest(job(definition), KnownSecrets(), KnownFlows(), wall_s=0.3).run())
    turns = 0
    while not run.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= len((await run).steps) / 2


async def test_a_result_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps and calls that do not fit are counted."""
    monkeypatch.setattr("flow_runner.flow_test.flow_test_run.MAX_SHOWN_BYTES", 1000)
    result = await run_of(chain(HI, *(HI | {"id": f"hi{n}"} for n in range(9)), variables=NAME))
    assert result.status == "succeeded"
    assert result.left_out == 11 + 10 - len(result.steps) - len(result.calls)
    assert 0 < len(result.steps) < 11


async def test_a_definition_that_cannot_be_run_is_a_result_too() -> None:
    """The job is completed, and its result states the reason."""
    context = JobContext("{flow-processing}:test:x", "test_flow")
    bad = job({"schemaVersion": 1, "nodes": [{"id": "a", "type": "delay", "data": {"ms": "soon"}}], "edges": []})
    result = await RunFlowTest(KnownSecrets(), KnownFlows(), MemoryClock())(context, bad)
    assert (result.status, result.steps) == ("failed", [])
    assert result.error is not None
    assert "node a, ms" in result.error.message
    with pytest.raises(PermanentError):
        FlowTest(bad, KnownSecrets(), KnownFlows())


async def test_a_definition_of_a_newer_version_is_tested_by_a_newer_worker() -> None:
    """It is no failure of the flow."""
    context = JobContext("{flow-processing}:test:x", "test_flow")
    newer = job({"schemaVersion": 1, "nodes": [{"id": "a", "type": "quantum", "data": {}}], "edges": []})
    with pytest.raises(NewerVersionRequired, match="quantum"):
        await RunFlowTest(KnownSecrets(), KnownFlows(), MemoryClock())(context, newer)


UNDELIVERED = GivenAnswer(error="undelivered", body={"kind": "131047", "message": "Re-engagement message"})
SENDS = node("send", "message", text="oi", onError="branch")
BRANCHING = flow(SENDS, node("sent", "end"), node("sorry", "end"), edges="start>send send.out>sent send.error>sorry")
ASKS = flow(
    node("ask", "input", prompt="CPF?", variable="nome", onError="branch"),
    node("done", "end"),
    node("sorry", "end"),
    edges="start>ask ask.out>done ask.error>sorry",
    variables=NAME,
)


@pytest.mark.parametrize(
    ("answers", "visited", "delivery", "wait_s"),
    [
        ([], ["send", "sent"], "sent", 0),
        ([UNDELIVERED], ["send", "sorry"], "failed", 0),
        ([GivenAnswer(error="communication")], ["send", "sorry"], "failed", 0),
        ([GivenAnswer(status=400, body="no such template")], ["send", "sorry"], "failed", 0),
        ([GivenAnswer(error="timeout")], ["send", "sent"], None, 60),
    ],
)
async def test_a_message_has_the_outcome_that_the_test_defines(
    answers: list[GivenAnswer], visited: list[str], delivery: str | None, wait_s: int
) -> None:
    """A node with an error edge waits for it, as a real one does."""
    result = await run_of(BRANCHING, answers={"send": answers} if answers else {})
    assert (result.status, path(result)[1:]) == ("succeeded", visited)
    assert result.calls[0].delivery == delivery
    assert int((result.ended_at - result.started_at).total_seconds()) == wait_s
    assert (result.undelivered, result.undelivered_flow_id) == (1 if delivery == "failed" else 0, None)


async def test_the_error_of_a_message_is_that_of_the_test() -> None:
    result = await run_of(BRANCHING, answers={"send": [UNDELIVERED]})
    error = result.steps[1].error
    assert error is not None
    assert (error.kind, error.message) == ("undelivered", "the message was not delivered: Re-engagement message")
    assert error.detail == {"kind": "131047"}
    assert result.calls[0].delivery_error == "Re-engagement message"


@pytest.mark.parametrize(
    ("answers", "replies", "status", "visited"),
    [
        ({}, ["123"], "succeeded", ["ask", "done"]),
        ({}, [], "waiting-input", ["ask"]),
        ({"ask": [UNDELIVERED]}, ["123"], "succeeded", ["ask", "sorry"]),
        ({"ask": [UNDELIVERED]}, [], "succeeded", ["ask", "sorry"]),
        ({"ask": [GivenAnswer(error="timeout")]}, ["123"], "succeeded", ["ask", "done"]),
    ],
)
async def test_a_question_that_is_not_delivered_fails_its_input(
    answers: dict[str, list[GivenAnswer]], replies: list[str | None], status: str, visited: list[str]
) -> None:
    result = await run_of(ASKS, answers=answers, replies=replies)
    assert (result.status, path(result)[1:]) == (status, visited)


async def test_a_failure_for_which_no_node_waits_is_counted() -> None:
    """And the flow that would start is named."""
    definition = chain(HI, variables=NAME, settings={"undeliveredFlowId": "sorry"})
    result = await run_of(definition, answers={"hi": [UNDELIVERED]})
    assert (result.status, result.undelivered, result.undelivered_flow_id) == ("succeeded", 1, "sorry")


MENU = node("ask", "input", prompt="Escolha", kind="choice", timeoutMs=60_000,
            choices=[{"id": "a", "title": "Boleto"}, {"id": "b", "title": "Pessoa"}])  # fmt: skip
BYE = node("bye", "message", text="Até logo\nVolte sempre")
ASKED = ("flow", "ask", "Escolha\n[Boleto] [Pessoa]")


@pytest.mark.parametrize(
    ("definition", "replies", "chat"),
    [
        pytest.param(
            flow(MENU, BYE, edges="start>ask ask.timeout>bye"), [None],
            [("contact", None, "oi"), ASKED, ("contact", None, None), ("flow", "bye", "Até logo\nVolte sempre")],
            id="a wait that times out",
        ),
        pytest.param(
            flow(MENU, BYE, edges="start>ask ask.a>bye"), ["pizza", "1"],
            [("contact", None, "oi"), ASKED, ("contact", None, "pizza"), ASKED, ("contact", None, "1"),
             ("flow", "bye", "Até logo\nVolte sempre")],
            id="an invalid reply and a valid one",
        ),
        pytest.param(
            chain(node("m", "message", media={"kind": "image", "url": "https://a.example/b.png", "caption": "O mapa"})),
            [], [("contact", None, "oi"), ("flow", "m", "(image: https://a.example/b.png)\nO mapa")], id="media",
        ),
        pytest.param(
            chain(node("m", "message", template={"name": "aviso", "language": "pt_BR", "parameters": ["Ana", "10"]})),
            [], [("contact", None, "oi"), ("flow", "m", "(template aviso: Ana, 10)")], id="a template",
        ),
        pytest.param(
            chain(node("n", "notify", channel="mail", to="55119", text="x")), [], [("contact", None, "oi")],
            id="a notification is no part of the chat",
        ),
        pytest.param(
            chain(node("m", "message", text="x", channel="mail", to="other")), [], [("contact", None, "oi")],
            id="a message to another contact",
        ),
        pytest.param(
            flow(node("ask", "input", prompt="Foto?", kind="file"), edges="start>ask"),
            [{"kind": "media", "media": {"url": "https://a.example/f.jpg"}}],
            [("contact", None, "oi"), ("flow", "ask", "Foto?"), ("contact", None, "(media: https://a.example/f.jpg)")],
            id="a reply that is a file",
        ),
    ],
)  # fmt: skip
async def test_the_chat_is_that_of_the_contact(
    definition: dict[str, Any], replies: list[Any], chat: list[tuple[str, str | None, str | None]]
) -> None:
    result = await run_of(definition, replies=replies)
    assert [(line.sender, line.node_id, line.text) for line in result.chat] == chat
    assert all(one.at <= two.at for one, two in zip(result.chat, result.chat[1:], strict=False))


async def test_the_chat_shows_a_message_that_was_not_delivered_and_no_secret() -> None:
    failing = GivenAnswer(error="undelivered", body={"kind": "131047", "message": "Re-engagement message"})
    hi = node("hi", "message", text="{{ secrets.key }}")
    result = await run_of(chain(hi), {"key": "a-secret-value"}, real_secrets=True, answers={"hi": [failing]})
    assert [line.text for line in result.chat] == ["oi", f"{HIDDEN}\n(not delivered: Re-engagement message)"]


async def test_without_a_conversation_there_is_no_chat() -> None:
    result = await run_of(chain(node("m", "message", text="x", channel="c", to="y")), channel=None, contact=None)
    assert result.chat == []
