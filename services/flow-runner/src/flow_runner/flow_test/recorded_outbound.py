"""The outside of a test run: calls are recorded and answered as given; nothing leaves the process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.jobs import GivenAnswer
from filas.errors import OutboundFailed, OutboundTimeout
from filas.models.executions import NewNotification
from filas.models.flow_tests import FlowTestCall
from flow_runner.engine.node_protocol import NodeRunner, Outcome, Visit
from flow_runner.engine.redaction import bounded, headers_shown
from flow_runner.engine.template_scope import ExecutionScope


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TestAddresses:
    """Addresses that lead nowhere."""

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        del execution_id  # A test run has none.
        return f"https://test-run.invalid/resume/{callback_id}"


class RecordedOutside:
    """The engine's Outbound, which knows whose visit a call belongs to because it watches the node runners.

    `scope` is that of the last visit: what its templates saw, and the secrets that are not to be shown.
    """

    def __init__(self, answers: Mapping[str, Sequence[GivenAnswer]]) -> None:
        self._answers = {node_id: list(given) for node_id, given in answers.items()}
        self._visit: Visit | None = None
        self._fresh: list[FlowTestCall] = []
        self._visits: dict[int, tuple[str, str, datetime]] = {}
        self.calls: list[FlowTestCall] = []
        self.scope: ExecutionScope | None = None

    def watch(self, runners: Mapping[str, NodeRunner]) -> dict[str, NodeRunner]:
        """The same runners, watched."""
        return {node_type: self._watched(runner) for node_type, runner in runners.items()}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Answer:
        """What the node's next answer says; 200 with `{}` where none is given. Raises as the real one does."""
        visit = self._visit
        given = self._next_answer(visit.place) if visit else GivenAnswer()
        if visit:
            self._fresh.append(
                FlowTestCall(
                    seq=visit.seq,
                    node_id=visit.place,
                    type=visit.type,
                    attempt=visit.attempt,
                    at=visit.now,
                    method=method,
                    url=url,
                    headers=dict(headers),
                    body=_readable(body),
                    answer={"error": given.error} if given.error else {"status": given.status, "body": given.body},
                )
            )
        if given.error == "timeout":
            raise OutboundTimeout(f"no answer within {timeout_s:g} s (as the test says)", sent=True)
        if given.error is not None:
            raise OutboundFailed("the connection broke (as the test says)", sent=True)
        text = isinstance(given.body, str)
        content_type = "text/plain; charset=utf-8" if text else "application/json"
        content = given.body.encode() if text else msgspec.json.encode(given.body)
        return Answer(given.status, {"content-type": content_type, **given.headers}, content)

    def notified(self, notifications: Sequence[NewNotification]) -> None:
        """Messages that a checkpoint would have handed to the notifier."""
        for each in notifications:
            place, node_type, at = self._visits[each.seq]
            call = FlowTestCall(
                seq=each.seq,
                node_id=place,
                type=node_type,
                attempt=1,
                at=at,
                channel=each.channel_id,
                to=each.recipient,
                payload=each.payload,
            )
            self.calls.append(self._clean(call))

    def cleaned(self, value: Any) -> Any:
        """A value without the secrets that the run has met, and bounded."""
        return bounded(self.scope.redactor.clean(value) if self.scope else value)

    def _watched(self, runner: NodeRunner) -> NodeRunner:
        async def run(visit: Visit) -> Outcome:
            self._visit, self.scope = visit, visit.scope
            self._visits[visit.seq] = visit.place, visit.type, visit.now
            try:
                return await runner.run(visit)
            finally:
                # Only now are all secrets known that the visit uses: the one that signs a webhook, say.
                self.calls += [self._clean(call) for call in self._fresh]
                self._fresh.clear()
                self._visit = None

        return replace(runner, run=run)

    def _clean(self, call: FlowTestCall) -> FlowTestCall:
        return msgspec.structs.replace(
            call,
            url=self.cleaned(call.url),
            headers=self.cleaned(headers_shown(call.headers)) if call.headers is not None else None,
            body=self.cleaned(call.body),
            answer=self.cleaned(call.answer),
            to=self.cleaned(call.to),
            payload=self.cleaned(call.payload),
        )

    def _next_answer(self, node_id: str) -> GivenAnswer:
        given = self._answers.get(node_id)
        if not given:
            return GivenAnswer()
        return given.pop(0) if len(given) > 1 else given[0]


def _readable(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return body.decode(errors="replace")
