"""`await`: a node waits for the outcome of its message, and a message that has failed fails its node."""

from typing import Any

import pytest

from filas.errors import RetryLater
from filas.flows.publishing_checks import check
from filas.models.record import ErrorDetail
from tests.flow_runner.harness import Harness, compiled_flow, flow, node, path, step
from tests.flow_runner.memory import Row
from tests.flow_runner.test_conversations import job, running
from tests.flow_runner.test_jobs import CONTEXT

REFUSED = ErrorDetail(kind="131047", message="Re-engagement message", detail={"status": 400})

SENDING = {
    "message": {"text": "oi"},
    "notify": {"channel": "team", "to": "ops", "text": "oi"},
}


def ends(edges: str) -> list[dict[str, Any]]:
    """The nodes that end a flow with these edges."""
    return [node(name, "end") for name in ("next", "sorry") if f">{name}" in edges]


def sending(kind: str = "message", edges: str = "", **data: Any) -> dict[str, Any]:
    """A flow that sends, and then ends by the handle that it left by."""
    edges = edges or "start>send send.out>next"
    return flow(node("send", kind, **SENDING[kind], **data), *ends(edges), edges=edges)


def asking(edges: str = "start>ask ask.out>next", **data: Any) -> dict[str, Any]:
    return flow(node("ask", "input", prompt="CPF?", timeoutMs=600_000, **data), *ends(edges), edges=edges)


class Sender:
    """One execution of a flow that sends."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.harness = Harness()
        self.flow = compiled_flow(definition)
        self.row: Row = self.harness.rows.add()

    async def run(self) -> str | None:
        return await self.harness.run_once(self.row, self.flow)

    @property
    def message(self) -> Any:
        return list(self.harness.rows.notifications.values())[-1]

    def learn(self, status: str) -> str:
        return self.harness.rows.learn(self.message.id, status, REFUSED if status == "failed" else None)


BRANCH = "start>send send.out>next send.error>sorry"


@pytest.mark.parametrize("kind", ["message", "notify"])
@pytest.mark.parametrize(
    ("data", "edges", "awaits"),
    [
        ({}, "", None),
        ({"onError": "continue"}, "", None),
        ({"onError": "branch"}, BRANCH, "sent"),
        ({"onError": "branch", "await": "recorded"}, BRANCH, None),
        ({"onError": "branch", "await": "delivered"}, BRANCH, "delivered"),
        ({"await": "sent"}, "", "sent"),
        ({"await": "delivered"}, "", "delivered"),
    ],
)
async def test_a_node_with_an_error_edge_waits_until_its_message_is_sent(
    kind: str, data: dict[str, Any], edges: str, awaits: str | None
) -> None:
    """Any other node waits for nothing, unless it is configured to: its flow is as fast as before."""
    sender = Sender(sending(kind, edges, **data))
    assert await sender.run() == ("succeeded" if awaits is None else "waiting-callback")
    assert sender.message.awaits == awaits
    assert step(sender.row, "send").status == ("succeeded" if awaits is None else "waiting")


@pytest.mark.parametrize("kind", ["message", "notify"])
@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
async def test_an_awaited_message_that_arrives_leaves_by_out(kind: str, status: str) -> None:
    sender = Sender(sending(kind, BRANCH, onError="branch"))
    await sender.run()
    assert sender.learn(status) == "resumed"
    assert await sender.run() == "succeeded"
    assert path(sender.row) == ["start", "send", "next"]
    sent = step(sender.row, "send")
    assert (sent.handle, sent.output["delivery"], sent.attempt) == ("out", status, 1)
    assert sent.output["providerId"] == f"provider:{sender.row.id}"
    assert sent.input == {"channel": sent.output["channel"], "to": sent.output["to"], "type": "text", "text": "oi"}
    assert len(sender.harness.rows.notifications) == 1


@pytest.mark.parametrize("kind", ["message", "notify"])
@pytest.mark.parametrize(
    ("data", "edges", "visited", "status"),
    [
        ({"onError": "branch"}, BRANCH, ["start", "send", "sorry"], "succeeded"),
        ({"onError": "continue", "await": "sent"}, "", ["start", "send", "next"], "succeeded"),
        ({"await": "sent"}, "", ["start", "send"], "failed"),
        ({"await": "delivered"}, "", ["start", "send"], "failed"),
    ],
)
async def test_a_message_that_has_failed_fails_its_node(
    kind: str, data: dict[str, Any], edges: str, visited: list[str], status: str
) -> None:
    sender = Sender(sending(kind, edges, **data))
    await sender.run()
    assert sender.learn("failed") == "resumed"
    assert await sender.run() == status
    assert path(sender.row) == visited
    sent = step(sender.row, "send")
    assert sent.status == "failed"
    assert sent.error is not None
    assert (sent.error.kind, sent.error.message) == (
        "undelivered",
        "the message was not delivered: Re-engagement message",
    )
    assert sent.error.detail == {"kind": "131047", "status": 400}


async def test_the_error_branch_sees_why_the_message_failed() -> None:
    nodes = [
        node("send", "message", text="oi", onError="branch"),
        node("sorry", "end", output="{{ nodes.send.error.detail.kind }} {{ nodes.send.output.delivery }}"),
    ]
    sender = Sender(flow(*nodes, edges="start>send send.error>sorry"))
    await sender.run()
    sender.learn("failed")
    await sender.run()
    assert sender.row.output == "131047 failed"


async def test_a_message_that_an_operator_cancels_fails_its_node() -> None:
    sender = Sender(sending(onError="branch", edges=BRANCH))
    await sender.run()
    sender.learn("cancelled")
    assert await sender.run() == "succeeded"
    assert path(sender.row) == ["start", "send", "sorry"]


@pytest.mark.parametrize(
    ("data", "wait_s"),
    [
        ({"await": "sent"}, 60),
        ({"await": "sent", "awaitMs": 1500}, 1.5),
        ({"await": "delivered"}, 86_400),
        ({"await": "delivered", "awaitMs": 5000}, 5),
    ],
)
async def test_the_wait_ends_by_out_after_its_time(data: dict[str, Any], wait_s: float) -> None:
    """It needs no worker meanwhile, and an outcome that comes afterwards does not resume the execution."""
    sender = Sender(sending(**data))
    await sender.run()
    assert sender.row.wake_at is not None
    assert (sender.row.wake_at - sender.harness.clock.now()).total_seconds() == wait_s
    if wait_s > 60:
        assert await sender.run() is None
    else:
        with pytest.raises(RetryLater):
            await sender.run()
    sender.harness.clock.advance(wait_s)
    assert await sender.run() == "succeeded"
    output = step(sender.row, "send").output
    assert (output["delivery"], output["providerId"]) == (None, None)
    assert sender.learn("failed") == "over"


@pytest.mark.parametrize(
    ("data", "holds"),
    [
        ({"await": "sent"}, True),
        ({"await": "sent", "awaitMs": 60_000}, True),
        ({"await": "sent", "awaitMs": 60_001}, False),
        ({"await": "delivered", "awaitMs": 1000}, False),
    ],
)
async def test_the_next_message_of_the_contact_waits_until_this_one_is_sent(data: dict[str, Any], holds: bool) -> None:
    """The execution continues in the same job, which is in the group of the conversation. Before, an answer that
    arrived before the provider's started a second execution."""
    sender = Sender(sending(**data))
    run_flow = running(sender.harness, sending(**data))
    if holds:
        with pytest.raises(RetryLater) as later:
            await run_flow(CONTEXT, job(sender.row))
        assert (later.value.delay_s, later.value.uses_attempt) == (5.0, False)
        with pytest.raises(RetryLater):
            await run_flow(CONTEXT, job(sender.row))
    else:
        assert (await run_flow(CONTEXT, job(sender.row)))["status"] == "waiting-callback"
    assert sender.row.turn == (1 if holds else 2)
    sender.learn("sent")
    assert (await run_flow(CONTEXT, job(sender.row)))["status"] == "succeeded"


async def test_an_outcome_that_arrives_while_a_worker_ends_the_wait_is_asked_again() -> None:
    """The worker has claimed the execution because the time was over: its checkpoint decides."""
    sender = Sender(sending(**{"await": "sent"}))
    await sender.run()
    sender.harness.clock.advance(60)
    [claimed] = await sender.harness.rows.claim_many([(sender.row.id, sender.row.turn)], "w", 30)
    assert claimed is not None
    assert sender.learn("failed") == "running"


@pytest.mark.parametrize("status", ["failed", "sent"])
async def test_a_worker_that_dies_with_the_outcome_loses_nothing(status: str) -> None:
    """The outcome stays in the row until the checkpoint after it."""
    sender = Sender(sending(edges=BRANCH, onError="branch"))
    await sender.run()
    sender.learn(status)
    [claimed] = await sender.harness.rows.claim_many([(sender.row.id, sender.row.turn)], "w", 30)
    assert claimed is not None
    sender.harness.crash(sender.row)
    assert await sender.run() == "succeeded"
    assert path(sender.row)[-1] == ("sorry" if status == "failed" else "next")


async def test_the_second_message_of_a_flow_does_not_see_the_outcome_of_the_first() -> None:
    nodes = [node(name, "message", text=name, onError="branch") for name in ("a", "b")]
    sender = Sender(flow(*nodes, node("sorry", "end"), edges="start>a a.out>b b.error>sorry a.error>sorry"))
    await sender.run()
    sender.learn("sent")
    assert await sender.run() == "waiting-callback"
    assert path(sender.row) == ["start", "a", "b"]
    sender.learn("failed")
    assert await sender.run() == "succeeded"
    assert path(sender.row) == ["start", "a", "b", "sorry"]


async def test_a_failure_in_a_subflow_fails_the_calling_node() -> None:
    sender = Sender(
        flow(
            node("sub", "subflow", flowId="sub", onError="branch"),
            node("sorry", "end"),
            edges="start>sub sub.error>sorry",
        )
    )
    sender.harness.flows.publish("sub", sending(**{"await": "sent"}))
    await sender.run()
    assert sender.row.status == "waiting-callback"
    sender.learn("failed")
    assert await sender.run() == "succeeded"
    assert path(sender.row) == ["start", "sub", "sub/start", "sub/send", "sorry"]


@pytest.mark.parametrize(
    ("data", "edges", "last", "status"),
    [
        ({}, "start>ask ask.out>next", "ask", "failed"),
        ({"await": "delivered"}, "start>ask ask.out>next", "ask", "failed"),
        ({"onError": "branch"}, "start>ask ask.out>next ask.error>sorry", "sorry", "succeeded"),
        ({"onError": "continue"}, "start>ask ask.out>next", "next", "succeeded"),
    ],
)
async def test_a_question_that_was_not_received_fails_its_input(
    data: dict[str, Any], edges: str, last: str, status: str
) -> None:
    """So it takes no later message as its reply."""
    sender = Sender(asking(edges, **data))
    assert await sender.run() == "waiting-input"
    assert sender.message.awaits is None
    assert sender.learn("failed") == "resumed"
    assert sender.row.awaits_reply_since is None
    assert await sender.run() == status
    assert path(sender.row)[-1] == last
    asked = step(sender.row, "ask")
    assert asked.error is not None
    assert (asked.status, asked.error.kind) == ("failed", "undelivered")


async def test_an_input_that_awaits_nothing_continues_to_wait() -> None:
    sender = Sender(asking(**{"await": "recorded"}))
    await sender.run()
    assert sender.learn("failed") == "over"
    assert sender.row.status == "waiting-input"


async def test_only_the_question_that_was_asked_last_fails_the_input() -> None:
    """The first one was answered, so it was received."""
    sender = Sender(asking(kind="number"))
    await sender.run()
    first = sender.message
    reply = sender.harness.rows.add(text="not a number")
    await sender.harness.run_once(reply, sender.flow)
    assert sender.row.status == "waiting-input"
    assert sender.message.id != first.id
    assert sender.harness.rows.learn(first.id, "failed", REFUSED) == "over"
    assert sender.learn("failed") == "resumed"
    assert await sender.run() == "failed"


async def test_a_reply_before_the_failure_counts() -> None:
    sender = Sender(asking())
    await sender.run()
    reply = sender.harness.rows.add(text="123")
    await sender.harness.run_once(reply, sender.flow)
    assert sender.row.status == "succeeded"
    assert sender.learn("failed") == "over"


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("message", {"await": "read"}, "await"),
        ("message", {"awaitMs": 0}, "awaitMs"),
        ("notify", {"awaitMs": "1 s"}, "awaitMs"),
        ("input", {"await": "never", "prompt": "?"}, "await"),
        ("input", {"onError": "branch", "kind": "choice", "choices": [{"id": "error", "title": "E"}], "prompt": "?"},
         "choices[0].id"),
    ],
)  # fmt: skip
def test_publishing_refuses_other_values(kind: str, data: dict[str, Any], problem: str) -> None:
    checked, problems = check(flow(node("n", kind, **SENDING.get(kind, {}), **data), edges="start>n"))
    assert checked is None
    assert problem in [each.field for each in problems]


def test_a_choice_may_be_called_error_if_the_node_has_no_such_handle() -> None:
    choices = [{"id": "error", "title": "Report an error"}]
    definition = flow(
        node("n", "input", kind="choice", prompt="?", choices=choices), node("e", "end"), edges="start>n n.error>e"
    )
    assert check(definition)[0] is not None
