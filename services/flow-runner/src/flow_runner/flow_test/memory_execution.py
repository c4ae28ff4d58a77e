"""One execution in memory."""

import asyncio
import uuid
from datetime import datetime

import msgspec

from filas.contract import identity
from filas.contract.jobs import FlowTestJob, GivenReply
from filas.models.executions import Checkpoint, ClaimedExecution, ExecutionStatus, NewNotification, StepRecord
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.execution_state import State, encode

UNSAVED_VERSION = 0
"""The version that templates see if the flow is not a stored one."""


class MemoryExecution:
    """The engine's ExecutionStore of one test run. It also makes the claim for the next run.

    `last` is the newest checkpoint. `steps` are by their number.
    """

    def __init__(self, job: FlowTestJob, flow: CompiledFlow, now: datetime) -> None:
        self.steps: dict[int, StepRecord] = {}
        self.last: Checkpoint | None = None
        self._notifications: list[NewNotification] = []
        # The random id ensures that no id derived from it is that of a real execution.
        self._claimed = _first_claim(job, flow, now)

    async def checkpoint(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus:
        # A cooperative yield: no statement is awaited here, and the process runs other executions.
        await asyncio.sleep(0)
        conversation_vars = checkpoint.conversation_vars or claimed.conversation_vars
        self._claimed = msgspec.structs.replace(self._claimed, conversation_vars=conversation_vars)
        self.last = checkpoint
        self.steps |= {step.seq: step for step in checkpoint.steps}
        self._notifications += checkpoint.notifications
        return checkpoint.status

    def new_notifications(self) -> list[NewNotification]:
        """The notifications since the last call."""
        new, self._notifications = self._notifications, []
        return new

    def claim(
        self,
        now: datetime,
        reply: GivenReply | None = None,
        message_outcome: str | None = None,
        *,
        cancel: bool = False,
    ) -> ClaimedExecution:
        """The claim for the next run: the first one, or one that continues from the last checkpoint, with the contact's
        `reply` or the outcome of a message, or to be cancelled."""
        last, claimed = self.last, self._claimed
        if last is not None:
            claimed = msgspec.structs.replace(
                claimed,
                turn=claimed.turn + 1,
                state=last.state,
                status_before=last.status,
                claimed_at=now,
                message_outcome=message_outcome,
                reply=None if reply is None else _trigger({}, _message(reply, claimed.contact)),
                cancel_requested=cancel,
            )
        self._claimed = claimed
        return claimed


def _first_claim(job: FlowTestJob, flow: CompiledFlow, now: datetime) -> ClaimedExecution:
    in_conversation = {name for name, variable in flow.variables.items() if variable.scope == "conversation"}
    conversation_vars = {name: value for name, value in job.vars.items() if name in in_conversation}
    state = State(
        stack=[job.node_id or flow.begins_at],
        vars={name: value for name, value in job.vars.items() if name not in in_conversation},
        outputs={name: {"output": output, "error": None} for name, output in job.outputs.items()},
    )
    known = job.channel is not None and job.contact is not None
    return ClaimedExecution(
        id=uuid.uuid4(),
        fence=1,
        turn=1,
        flow_id=job.flow_id,
        version=job.version or UNSAVED_VERSION,
        node_id=job.node_id or "",
        event_id=None,
        conversation_id=identity.derived_id("test-conversation", str(job.run_id)) if known else None,
        channel=job.channel if known else None,
        contact=job.contact if known else None,
        trigger=_trigger(job.trigger, job.message),
        state=None,
        start_state=encode(state),
        status_before="queued",
        started_at=now,
        deadline_at=None,
        conversation_vars=msgspec.json.encode(conversation_vars).decode(),
        claimed_at=now,
    )


def _message(reply: GivenReply, contact: str | None) -> dict[str, object]:
    given = {"text": reply} if isinstance(reply, str) else reply
    return {"id": f"reply-{uuid.uuid4()}", "kind": "text", "text": None, **given, "contact": contact}


def _trigger(webhook: object, message: object) -> str:
    return msgspec.json.encode({"webhook": webhook, "message": message}).decode()
