"""The spans of a turn: one a visit, with its type, try, way out and outcome, below the job that runs the turn."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from filas.contract.jobs import Traceparent
from filas.errors import LeaseLost, OutboundTimeout
from filas.tracing import spans
from filas.tracing.spans import Attributes, Kind, Span
from tests.flow_runner.harness import Answer, Call, Harness, chain, node, plan_of

CRM = node("crm", "api", url="https://crm.example:8443/secret?key=1")
HI = node("hi", "message", text="hi")


class Noted(Span):
    """A span that is kept in a list when it ends."""

    def __init__(self, ended: list["Noted"], name: str, parent: Traceparent, attributes: Attributes) -> None:
        self.name = name
        self.parent = parent
        self.attributes: dict[str, Any] = dict(attributes)
        self.error: tuple[str, str] | None = None
        self._ended = ended

    @property
    def traceparent(self) -> Traceparent:
        return f"{self.name} {self.attributes.get('filas.node.id', '')}".strip()

    def set_attributes(self, attributes: Attributes) -> None:
        self.attributes |= attributes

    def fail(self, kind: str, message: str = "") -> None:
        self.error = (kind, message)

    def end(self) -> None:
        self._ended.append(self)


class Notes:
    """A tracer that keeps what has ended."""

    def __init__(self) -> None:
        self.ended: list[Noted] = []

    def start_span(
        self,
        name: str,
        kind: Kind,
        parent: Traceparent,
        attributes: Attributes,
        *,
        root_of: UUID | None,
        began_s: float | None,
    ) -> Span:
        return Noted(self.ended, name, parent, attributes)

    def root_traceparent(self, origin: UUID) -> str:
        return f"first {origin}"

    def shutdown(self, timeout_s: float) -> None: ...

    @property
    def visits(self) -> list[tuple[str, int, str, str | None]]:
        """Node, try, outcome and way out of each."""
        names = ("id", "attempt", "outcome", "handle")
        found = [one for one in self.ended if one.name.startswith("node ")]
        return [tuple(one.attributes.get(f"filas.node.{name}") for name in names) for one in found]  # type: ignore[misc]


@pytest.fixture
def notes() -> Iterator[Notes]:
    tracer = Notes()
    spans.set_tracer(tracer)
    with spans.as_current(Noted([], "job", None, {})):
        yield tracer
    spans.set_tracer(None)


async def test_every_visit_has_a_span_below_its_job(notes: Notes) -> None:
    """What it sends is its child, what it calls too; of the address no more than the host."""
    harness = Harness()
    await harness.run(chain(CRM, HI))
    assert notes.visits == [
        ("start", 1, "succeeded", "out"),
        ("crm", 1, "succeeded", "out"),
        ("hi", 1, "succeeded", "out"),
    ]
    assert {one.parent for one in notes.ended if one.name.startswith("node ")} == {"job"}
    [called] = [one for one in notes.ended if one.name == "GET"]
    assert called.parent == "node api crm"
    assert called.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "crm.example",
        "server.port": 8443,
    }
    assert [one.traceparent for one in harness.rows.notifications.values()] == ["node message hi"]


async def test_a_try_that_failed_says_why_without_its_secrets(notes: Notes) -> None:
    """Each try has its own span, and so has its call."""
    harness = Harness()
    harness.secrets.values["key"] = "The-Key-9"

    def answer(_: Call) -> Answer:
        if len(harness.outside.calls) == 1:
            raise OutboundTimeout("The-Key-9 was too slow", sent=True)
        return Answer()

    harness.outside.answer = answer
    retried = node("crm", "api", url="https://{{ secrets.key }}.example/", retry={"maxAttempts": 2})
    await harness.run(chain(retried))
    assert notes.visits[1:] == [("crm", 1, "retrying", None), ("crm", 2, "succeeded", "out")]
    [failed, _] = [one for one in notes.ended if one.name == "node api"]
    assert failed.error == ("timeout", "[redacted] was too slow")
    calls = [one for one in notes.ended if one.name == "GET"]
    assert [one.error for one in calls] == [("OutboundTimeout", ""), None]
    assert {one.attributes["server.address"] for one in calls} == {None}


async def test_a_wait_ends_the_span_and_who_goes_on_has_another(notes: Notes) -> None:
    """A span of a month would tell nothing until it is over."""
    await Harness().run(chain(node("pause", "delay", ms=86_400_000), HI))
    assert notes.visits[1:3] == [("pause", 1, "waiting", None), ("pause", 1, "succeeded", "out")]


async def test_a_visit_that_is_cut_off_has_a_span_too(notes: Notes) -> None:
    """Another worker holds the execution by now: what this one was at is told all the same, and once."""
    harness = Harness()
    row = harness.rows.add()

    def answer(_: Call) -> Answer:
        raise LeaseLost("execution")

    harness.outside.answer = answer
    with pytest.raises(LeaseLost):
        await harness.turn(row, plan_of(chain(CRM)))
    [cut_off] = [one for one in notes.ended if one.attributes.get("filas.node.id") == "crm"]
    assert cut_off.error == ("interrupted", "")


@pytest.mark.parametrize(
    ("inner", "visits"),
    [
        (
            chain(HI),
            [
                ("sub", 1, "waiting", None),
                ("sub/start", 1, "succeeded", "out"),
                ("sub/hi", 1, "succeeded", "out"),
                ("sub", 1, "succeeded", "out"),
            ],
        ),
        (None, [("sub", 1, "failed", None)]),
    ],
)
async def test_a_subflow_is_told_when_it_begins_and_when_it_is_over(
    notes: Notes, inner: dict[str, Any] | None, visits: list[tuple[Any, ...]]
) -> None:
    """The nodes within it by their place; one that can't be begun has failed."""
    harness = Harness()
    if inner is not None:
        harness.flows.publish("inner", inner)
    await harness.run(chain(node("sub", "subflow", flowId="inner")))
    assert notes.visits[1:] == visits


async def test_what_follows_a_failure_is_a_child_of_the_job(notes: Notes) -> None:
    """The error flow's execution has a job of its own, in the same trace."""
    harness = Harness()
    await harness.run(chain(node("end", "end", status="failed"), settings={"errorFlowId": "sorry"}))
    [following] = [one for _, checkpoint in harness.written for one in checkpoint.starts]
    assert following.traceparent == "job"
