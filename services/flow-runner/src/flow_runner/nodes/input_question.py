"""Runs `input`: a prompt and a wait, repeated as often as the node allows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from filas.contract.identity import notification_id
from filas.flows.nodes.input import INVALID, OTHER, OUT, TIMEOUT, InputData
from filas.flows.templates import template
from filas.models.executions import NewNotification, Question
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.nodes import awaited_message, outgoing_notification
from flow_runner.nodes.input_reply import joined_text, read_messages
from flow_runner.nodes.invalid_reply import InvalidReply, NoChoice
from flow_runner.nodes.outgoing_content import recipient_of

MAX_COLLECTED: Final = 50
MAX_COLLECTED_BYTES: Final = 128 * 1024
"""A reply of more messages or bytes ends at once."""


class Asked(msgspec.Struct, frozen=True):
    """What an input stores while it waits: how many prompts it has sent, and the titles that it showed. `question` is
    None in the state of an older version. `collected` are the messages of a reply that has not ended."""

    times: int
    titles: list[str]
    question: Question | None = None
    collected: list[dict[str, Any]] = msgspec.field(default_factory=list)


async def run(visit: Visit) -> Done | Wait:
    data: InputData = visit.data
    pending = visit.pending
    if pending is None or pending.reason != "wait":
        visit.input = {"kind": data.kind}
        titles = [template.render_text(choice.title, visit.scope.roots) for choice in data.choices]
        return await _ask(visit, data.prompt, Asked(1, titles))
    visit.input = pending.input
    asked = msgspec.convert(pending.memo, Asked)
    if not asked.collected:
        awaited_message.raise_if_failed(pending.outcome, {"asked": asked.times})
    if pending.reply is not None:
        messages = [*asked.collected, _kept(pending.reply)]
        if _is_complete(data, messages):
            return await _evaluate(visit, asked, messages)
        return _collect(visit, asked, messages)
    if not asked.collected:
        return _without_reply(visit, asked)
    if pending.wake_at is not None and pending.wake_at > visit.now:
        return _wait(visit, asked, pending.wake_at)
    return await _evaluate(visit, asked, asked.collected)


def _kept(reply: dict[str, Any]) -> dict[str, Any]:
    """The part of a message that can be the reply."""
    return {name: reply[name] for name in ("kind", "text", "data", "media") if reply.get(name) is not None}


def _is_complete(data: InputData, messages: list[dict[str, Any]]) -> bool:
    """Whether no further message is collected."""
    if data.collect_ms is None or len(messages) >= MAX_COLLECTED:
        return True
    return len(msgspec.json.encode(messages)) > MAX_COLLECTED_BYTES


def _collect(visit: Visit, asked: Asked, messages: list[dict[str, Any]]) -> Wait:
    """Waits for further messages of the reply. The last one of them starts the time again."""
    data: InputData = visit.data
    question = asked.question and msgspec.structs.replace(asked.question, answered=True)
    until = visit.now + timedelta(milliseconds=data.collect_ms or 0)
    return _wait(visit, msgspec.structs.replace(asked, question=question, collected=messages), until)


def _without_reply(visit: Visit, asked: Asked) -> Done | Wait:
    """Leaves by `timeout` when the question is over. Before that, waits again."""
    data: InputData = visit.data
    question, until = asked.question, visit.pending.wake_at if visit.pending else None
    timeout_ms = data.timeout_ms
    if question is not None:
        question = msgspec.structs.replace(question, superseded=visit.claimed.superseded)
        until = question.idle_at if timeout_ms is None else question.asked_at + timedelta(milliseconds=timeout_ms)
        if question.superseded:
            until = min(until, question.idle_at)
    if until is None or until > visit.now:
        return _wait(visit, msgspec.structs.replace(asked, question=question), until)
    if timeout_ms is not None and (question is None or until < question.idle_at or not question.superseded):
        return Done({"asked": asked.times}, TIMEOUT)
    message = f"the question was not answered within settings.conversation.idleMs, {visit.idle_ms} ms"
    return Done({"asked": asked.times}, TIMEOUT, timed_out=message)


async def _ask(visit: Visit, prompt: str, asked: Asked) -> Wait:
    data: InputData = visit.data
    claimed = visit.claimed
    to = await recipient_of(visit, claimed.channel, claimed.contact)
    text = template.render_text(prompt, visit.scope.roots, to.escape({}))
    visit.input = {**visit.input, "prompt": text}
    if not text.strip():
        raise NodeFailure("input", "the prompt is empty")
    payload: dict[str, Any] = {"type": "text", "text": text}
    if data.choices:
        buttons = [{"id": choice.id, "title": title} for choice, title in zip(data.choices, asked.titles, strict=True)]
        payload = {"type": "buttons", "text": text, "buttons": buttons}
    sent = outgoing_notification.notifications(visit, "input", to, [payload], number=asked.times)
    question = Question(asked_at=visit.now, idle_at=visit.now + timedelta(milliseconds=visit.idle_ms))
    open_ms = visit.idle_ms if data.timeout_ms is None else data.timeout_ms
    until = visit.now + timedelta(milliseconds=open_ms)
    return _wait(visit, msgspec.structs.replace(asked, question=question), until, sent)


def _wait(visit: Visit, asked: Asked, until: datetime | None, notifications: Sequence[NewNotification] = ()) -> Wait:
    """Waits for the reply, and for the failure of the prompt that was asked last unless a part of a reply has
    arrived."""
    ignores = visit.awaits == "recorded" or bool(asked.collected)
    prompt = None if ignores else notification_id(visit.claimed.id, visit.seq, asked.times)
    return Wait(
        until,
        awaits_reply=True,
        status="waiting-input",
        memo=msgspec.to_builtins(asked),
        notifications=notifications,
        message_id=prompt,
        question=asked.question,
    )


async def _evaluate(visit: Visit, asked: Asked, messages: list[dict[str, Any]]) -> Done | Wait:
    """Leaves by the handle of a valid reply. After an invalid one, leaves by `other`, asks again, or leaves by
    `invalid`."""
    data: InputData = visit.data
    text = joined_text(messages)
    said = text if len(messages) > 1 else None
    try:
        value = read_messages(data, asked.titles, messages)
    except InvalidReply as invalid:
        output = {"text": text, "asked": asked.times, "problem": str(invalid)}
        if isinstance(invalid, NoChoice) and data.has_other and OTHER in visit.connected:
            return Done(output, OTHER, said=said)
        if asked.times > data.max_retries:
            return Done(output, INVALID, said=said)
        return await _ask(visit, data.retry_prompt or data.prompt, Asked(asked.times + 1, asked.titles))
    if data.variable is not None:
        try:
            visit.assign(data.variable, value)
        except ValueError as error:
            raise NodeFailure("variable", str(error)) from None
    output = {"text": text, "value": value, "asked": asked.times}
    return Done(output, str(value) if data.kind == "choice" else OUT, otherwise=OUT, said=said)
