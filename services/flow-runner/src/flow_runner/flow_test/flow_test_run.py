"""Runs a flow as a test, from its start or from any node, until it ends or waits for something that the test does not
define."""

import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from filas.contract.comparable_text import comparable
from filas.contract.jobs import FlowTestJob, GivenReply
from filas.crypto.redaction import HIDDEN
from filas.crypto.secret_box import SecretBox
from filas.errors import PermanentError
from filas.flows.definition.flow_definition import load
from filas.models.executions import FINAL_EXECUTION_STATUSES, Checkpoint, NewNotification, StepRecord
from filas.models.flow_tests import ANY_CHANNEL, FlowTestCall, FlowTestChatLine, FlowTestResult, FlowTestStatus
from filas.models.record import ErrorDetail
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.engine import Engine
from flow_runner.engine.ports import Channels, Flows, FlowServices, Secrets
from flow_runner.flow_test.chat import Chat
from flow_runner.flow_test.given_replies import GivenReplies
from flow_runner.flow_test.jumping_clock import JumpingClock
from flow_runner.flow_test.memory_execution import MemoryExecution
from flow_runner.flow_test.placeholder_secrets import PlaceholderSecrets
from flow_runner.flow_test.recorded_outbound import RecordedOutbound, UnreachableAddresses
from flow_runner.nodes.node_runners import RUNNERS

WALL_S: Final = 10.0
"""The longest real time of a test run, in seconds."""

MAX_STEPS: Final = 5000
"""The most steps of a test run, or a few more: the run ends at its next node."""

MAX_SHOWN_BYTES: Final = 2 * 1024 * 1024
"""The most bytes of the steps, and of the calls, in a result."""

_RESTARTED: Final = ErrorDetail(
    kind="restarted",
    message="the reply is a text of settings.conversation.restartOn: the execution is cancelled, and a new one begins",
)

Shown = TypeVar("Shown", StepRecord, FlowTestCall, FlowTestChatLine)


class FlowTest:
    """One test run."""

    def __init__(
        self,
        job: FlowTestJob,
        secrets: Secrets,
        flows: Flows,
        channels: Channels | None = None,
        *,
        wall_s: float = WALL_S,
    ) -> None:
        self._job = job
        self._flow = CompiledFlow(job.flow_id, job.version or 0, load(job.definition))
        self._clock = JumpingClock()
        self._started = self._clock.now()
        self._wall_start, self._wall_s = time.monotonic(), wall_s
        self._outbound = RecordedOutbound(job.answers)
        self._execution = MemoryExecution(job, self._flow, self._started)
        # The state of a test run stays in memory. Only this run decrypts it.
        box = SecretBox(token_hex())
        runners, addresses = self._outbound.watch(RUNNERS), UnreachableAddresses()
        # The trace of a run with real secrets can show parts of them, for example with a template's `slice`.
        secrets = secrets if job.real_secrets is True else PlaceholderSecrets(secrets)
        services = FlowServices(flows, secrets, addresses, box)
        self._channels = channels
        self._engine = Engine(runners, self._execution, self._outbound, self._clock, services, channels)
        self._replies = GivenReplies(job.replies)
        self._chat = Chat(job.contact)
        self._learned: set[UUID] = set()

    async def run(self) -> FlowTestResult:
        """Raises PermanentError if the flow cannot be run, and StoreUnavailable if its secrets cannot be read."""
        reply: GivenReply | None = None
        outcome: str | None = None
        restarts = False
        self._chat.add_first(self._started, self._job.message)
        while True:
            claimed = self._execution.claim(self._clock.now(), reply, outcome, cancel=restarts)
            await self._engine.run(claimed, self._flow, lambda: self._exceeded() is not None)
            last = self._last_checkpoint()
            self._chat.add_messages(await self._record(self._execution.new_notifications()))
            if last.status in FINAL_EXECUTION_STATUSES:
                last = msgspec.structs.replace(last, error=_RESTARTED) if restarts else last
                return self._result(last, msgspec.convert(last.status, FlowTestStatus))
            exceeded = self._exceeded()
            if exceeded is not None:
                error = ErrorDetail(kind="limit", message=exceeded)
                return self._result(msgspec.structs.replace(last, error=error), "stopped")
            reply, outcome = None, self._outcome(last)
            if last.status == "queued" or outcome is not None:
                continue
            if self._may_reply(last):
                reply = self._replies.next(collecting=_is_collecting(last))
                if reply is not None:
                    self._chat.add_reply(self._clock.now(), reply)
                    restarts = self._restarts(reply)
                    reply = None if restarts else reply
                    continue
            elif _is_over(last):
                return self._result(last, msgspec.convert(last.status, FlowTestStatus))
            if last.wake_at is None:
                return self._result(last, "waiting-input")
            self._clock.jump_to(last.wake_at)
            if last.status == "waiting-input" and not _is_collecting(last):
                self._chat.add_reply(self._clock.now(), None)

    async def _record(self, notifications: Sequence[NewNotification]) -> list[FlowTestCall]:
        """Records messages. Without a store of channels, every channel counts as stored."""
        if self._channels is None:
            return self._outbound.record_notifications(notifications)
        named = {each.channel_id for each in notifications} - {ANY_CHANNEL}
        unknown = {each for each in named if await self._channels.type_of(each) is None}
        return self._outbound.record_notifications(notifications, unknown)

    def _outcome(self, last: Checkpoint) -> str | None:
        """The outcome that ends the wait for a message: the awaited status, or a failure. Each is learned once."""
        given = None if last.awaits_message is None else self._outbound.outcomes.get(last.awaits_message)
        if last.awaits_message is None or given is None or last.awaits_message in self._learned:
            return None
        if given.status is None or (last.status == "waiting-input" and given.status != "failed"):
            return None
        self._learned.add(last.awaits_message)
        return given.text

    def _may_reply(self, last: Checkpoint) -> bool:
        return last.awaits_reply and self._replies.has_next(collecting=_is_collecting(last))

    def _restarts(self, reply: GivenReply) -> bool:
        """Whether the reply is a text of `restartOn`, so that a real conversation would leave the execution."""
        text = reply if isinstance(reply, str) else reply.get("text")
        said = comparable(text) if isinstance(text, str) else None
        return said is not None and said in map(comparable, self._flow.settings.conversation.restart_on)

    def _exceeded(self) -> str | None:
        """The message of the bound that the test run has exceeded."""
        if time.monotonic() - self._wall_start > self._wall_s:
            return f"the test run worked longer than {self._wall_s:g} s"
        if len(self._execution.steps) > MAX_STEPS:
            return f"the test run took more than {MAX_STEPS:,} steps"
        return None

    def _last_checkpoint(self) -> Checkpoint:
        if self._execution.last is None:
            raise PermanentError("the engine ended a run without a checkpoint")
        return self._execution.last

    def _result(self, last: Checkpoint, status: FlowTestStatus) -> FlowTestResult:
        steps = [step for _, step in sorted(self._execution.steps.items())]
        calls = sorted(self._outbound.calls, key=lambda call: (call.seq, call.attempt))
        failed = {one for one, outcome in self._outbound.outcomes.items() if outcome.status == "failed"}
        shown_steps, shown_calls, chat = _within_limit(steps), _within_limit(calls), _within_limit(self._chat.lines)
        left_out = len(steps) - len(shown_steps) + len(calls) - len(shown_calls) + len(self._chat.lines) - len(chat)
        return FlowTestResult(
            status=status,
            flow_id=self._job.flow_id,
            version=self._job.version,
            steps=shown_steps,
            calls=shown_calls,
            chat=chat,
            vars=self._vars(),
            output=last.output,
            error=last.error,
            error_flow_id=last.starts[0].flow_id if last.starts else None,
            undelivered=len(failed),
            undelivered_flow_id=self._flow.settings.undelivered_flow_id if failed - self._learned else None,
            unused_replies=self._replies.count,
            left_out=left_out,
            started_at=self._started,
            ended_at=self._clock.now(),
            took_ms=round((time.monotonic() - self._wall_start) * 1000, 3),
        )

    def _vars(self) -> dict[str, object]:
        scope = self._outbound.scope
        values = {} if scope is None else scope.vars
        return {
            name: HIDDEN if variable.secret else self._outbound.redacted(values.get(name, variable.default))
            for name, variable in self._flow.variables.items()
        }


def _is_over(last: Checkpoint) -> bool:
    """Whether the flow waits for what the test does not define: a reply or a callback."""
    if last.status == "waiting-input":
        return not _is_collecting(last)
    return last.status == "waiting-callback" and last.awaits_callback is not None


def _is_collecting(last: Checkpoint) -> bool:
    """Whether a reply has arrived and the execution waits for the end of its burst."""
    return last.question is not None and last.question.answered


def _within_limit(items: list[Shown]) -> list[Shown]:
    """The first items, as many as fit into MAX_SHOWN_BYTES."""
    size, kept = 0, []
    for item in items:
        size += len(msgspec.json.encode(item))
        if size > MAX_SHOWN_BYTES:
            break
        kept.append(item)
    return kept
