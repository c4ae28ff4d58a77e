"""The outbound calls of a test run: they are recorded and answered as the test defines, and none leaves the process."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.jobs import GivenAnswer
from filas.errors import OutboundFailed, OutboundTimeout
from filas.models.executions import NewNotification
from filas.models.flow_tests import FlowTestCall
from filas.outbound.outbound_response import OutboundResponse
from flow_runner.engine.node_protocol import NodeRunner, Outcome, Visit
from flow_runner.engine.redaction import bounded, headers_shown
from flow_runner.engine.template_scope import TemplateScope
from flow_runner.flow_test.given_outcome import GivenOutcome, outcome_of, without_channel


class UnreachableAddresses:
    """The engine's ResumeAddresses of a test run: addresses at which no server listens."""

    def address(self, execution_id: UUID, callback_id: UUID) -> str:
        del execution_id  # The execution of a test run is not stored.
        return f"https://test-run.invalid/resume/{callback_id}"


class RecordedOutbound:
    """The engine's Outbound of a test run. It wraps the node runners, so it knows which visit makes a call.

    `scope` is the template scope of the last visit, with the secrets that no result may show.
    """

    def __init__(self, answers: Mapping[str, Sequence[GivenAnswer]]) -> None:
        self._answers = {node_id: list(given) for node_id, given in answers.items()}
        self._visit: Visit | None = None
        self._fresh: list[FlowTestCall] = []
        self._visits: dict[int, tuple[str, str, datetime]] = {}
        self.calls: list[FlowTestCall] = []
        self.outcomes: dict[UUID, GivenOutcome] = {}
        self.scope: TemplateScope | None = None

    def watch(self, runners: Mapping[str, NodeRunner]) -> dict[str, NodeRunner]:
        """The runners, wrapped."""
        return {node_type: self._watched(runner) for node_type, runner in runners.items()}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> OutboundResponse:
        """The node's next answer, 200 with `{}` if the test defines none. Raises as a real call does."""
        visit = self._visit
        answer = self._next_answer(visit.place) if visit else GivenAnswer()
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
                    answer={"error": answer.error} if answer.error else {"status": answer.status, "body": answer.body},
                )
            )
        if answer.error == "timeout":
            raise OutboundTimeout(f"no answer within {timeout_s:g} s (as the test defines)", sent=True)
        if answer.error is not None:
            raise OutboundFailed("the connection broke (as the test defines)", sent=True)
        text = isinstance(answer.body, str)
        content_type = "text/plain; charset=utf-8" if text else "application/json"
        content = answer.body.encode() if text else msgspec.json.encode(answer.body)
        headers_given = {"content-type": content_type, **answer.headers}
        return OutboundResponse(status=answer.status, headers=headers_given, body=content, url=url)

    def record_notifications(
        self, notifications: Sequence[NewNotification], unknown_channels: Collection[str] = ()
    ) -> list[FlowTestCall]:
        """Records notifications that a real checkpoint would send to the notifier, and their `outcomes`. Returns what
        it has recorded. A notification over one of `unknown_channels` fails, unless its node has an answer."""
        recorded: list[FlowTestCall] = []
        for each in notifications:
            place, node_type, at = self._visits[each.seq]
            outcome = outcome_of(self._next_answer(place), each.awaits)
            if each.channel_id in unknown_channels and place not in self._answers:
                outcome = without_channel(each.channel_id)
            self.outcomes[each.id] = outcome
            call = FlowTestCall(
                seq=each.seq,
                node_id=place,
                type=node_type,
                attempt=1,
                at=at,
                channel=each.channel_id,
                to=each.recipient,
                payload=each.payload,
                delivery=outcome.status,
                delivery_error=None if outcome.error is None else outcome.error.message,
            )
            recorded.append(self._redacted(call))
        self.calls += recorded
        return recorded

    def redacted(self, value: Any) -> Any:
        """The value without the secrets that the run has used, and bounded."""
        return bounded(self.scope.redactor.clean(value) if self.scope else value)

    def _watched(self, runner: NodeRunner) -> NodeRunner:
        async def run(visit: Visit) -> Outcome:
            self._visit, self.scope = visit, visit.scope
            self._visits[visit.seq] = visit.place, visit.type, visit.now
            try:
                return await runner(visit)
            finally:
                # All secrets of the visit are known only now, such as the one that signs a webhook.
                self.calls += [self._redacted(call) for call in self._fresh]
                self._fresh.clear()
                self._visit = None

        return run

    def _redacted(self, call: FlowTestCall) -> FlowTestCall:
        return msgspec.structs.replace(
            call,
            url=self.redacted(call.url),
            headers=self.redacted(headers_shown(call.headers)) if call.headers is not None else None,
            body=self.redacted(call.body),
            answer=self.redacted(call.answer),
            to=self.redacted(call.to),
            payload=self.redacted(call.payload),
            delivery_error=self.redacted(call.delivery_error),
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
