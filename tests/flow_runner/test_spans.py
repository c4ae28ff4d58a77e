"""The OpenTelemetry spans of a run: one for each visit, with its type, attempt, handle and outcome, below the job's
span."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from filas.contract.jobs import Traceparent
from filas.errors import LeaseLost, OutboundTimeout
from filas.tracing import spans
from filas.tracing.spans import Attributes, Kind, Span
from tests.flow_runner.harness import Call, Harness, Response, chain, compiled_flow, node

CRM = node("crm", "api", url="https://crm.example:8443/secret?key=1")
HI = node("hi", "message", text="hi")


class RecordedSpan(Span):
    """A span that is kept in a list when it ends."""

    def __init__(self, ended: list["RecordedSpan"], name: str, parent: Traceparent, attributes: Attributes) -> None:
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


class RecordingTracer:
    """A tracer that keeps the ended spans."""

    def __init__(self) -> None:
        self.ended: list[RecordedSpan] = []

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
        return RecordedSpan(self.ended, name, parent, attributes)

    def root_traceparent(self, origin: UUID) -> str:
        return f"first {origin}"

    def shutdown(self, timeout_s: float) -> None: ...

    @property
    def visits(self) -> list[tuple[str, int, str, str | None]]:
        """Node, attempt, outcome and handle of each visit."""
        names = ("id", "attempt", "outcome", "handle")
        found = [one for one in self.ended if one.name.startswith("node ")]
        return [tuple(one.attributes.get(f"filas.node.{name}") for name in names) for one in found]  # type: ignore[misc]


@pytest.fixture
def notes() -> Iterator[RecordingTracer]:
    tracer = RecordingTracer()
    spans.set_tracer(tracer)
    with spans.as_current(RecordedSpan([], "job", None, {})):
        yield tracer
    spans.set_tracer(None)


async def test_every_visit_has_a_span_below_its_job(notes: RecordingTracer) -> None:
    """The visit's messages and calls are its children. Of the address, only the host is recorded."""
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


async def test_a_failed_attempt_states_its_error_without_secrets(notes: RecordingTracer) -> None:
    """Each attempt has a span of its own, and so has its call."""
    harness = Harness()
    harness.secrets.values["key"] = "The-Key-9"

    def answer(_: Call) -> Response:
        if len(harness.outbound.calls) == 1:
            raise OutboundTimeout("The-Key-9 was too slow", sent=True)
        return Response()

    harness.outbound.respond = answer
    retried = node("crm", "api", url="https://{{ secrets.key }}.example/", retry={"maxAttempts": 2})
    await harness.run(chain(retried))
    assert notes.visits[1:] == [("crm", 1, "retrying", None), ("crm", 2, "succeeded", "out")]
    [failed, _] = [one for one in notes.ended if one.name == "node api"]
    assert failed.error == ("timeout", "[redacted] was too slow")
    calls = [one for one in notes.ended if one.name == "GET"]
    assert [one.error for one in calls] == [("OutboundTimeout", ""), None]
    assert {one.attributes["server.address"] for one in calls} == {None}


async def test_a_wait_ends_the_span_and_the_next_run_has_another(notes: RecordingTracer) -> None:
    """A span that lasts a month would be recorded only at its end."""
    await Harness().run(chain(node("pause", "delay", ms=86_400_000), HI))
    assert notes.visits[1:3] == [("pause", 1, "waiting", None), ("pause", 1, "succeeded", "out")]


async def test_an_interrupted_visit_has_a_span_too(notes: RecordingTracer) -> None:
    """Another worker holds the execution. The interrupted visit's span is recorded nevertheless, once."""
    harness = Harness()
    row = harness.rows.add()

    def answer(_: Call) -> Response:
        raise LeaseLost("execution")

    harness.outbound.respond = answer
    with pytest.raises(LeaseLost):
        await harness.run_once(row, compiled_flow(chain(CRM)))
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
async def test_a_subflow_has_a_span_at_its_start_and_at_its_end(
    notes: RecordingTracer, inner: dict[str, Any] | None, visits: list[tuple[Any, ...]]
) -> None:
    """Its nodes are named by their place. A subflow that cannot start has failed."""
    harness = Harness()
    if inner is not None:
        harness.flows.publish("inner", inner)
    await harness.run(chain(node("sub", "subflow", flowId="inner")))
    assert notes.visits[1:] == visits


async def test_an_error_flow_is_a_child_of_the_job(notes: RecordingTracer) -> None:
    """The error flow's execution has a job of its own, in the same trace."""
    harness = Harness()
    await harness.run(chain(node("end", "end", status="failed"), settings={"errorFlowId": "sorry"}))
    [following] = [one for _, checkpoint in harness.written for one in checkpoint.starts]
    assert following.traceparent == "job"
