"""Runs `notify`: records a notification to a recipient other than the conversation's contact."""

from typing import Any

from filas.flows.nodes.notify import NotifyData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.nodes import awaited_message, outgoing_notification


async def run(visit: Visit) -> Done | Wait:
    if awaited_message.is_resumed(visit):
        return awaited_message.end(visit)
    data: NotifyData = visit.data
    scope = visit.scope.roots
    channel, to = template.render_text(data.channel, scope), template.render_text(data.to, scope)
    payload: dict[str, Any] = {"type": "text", "text": template.render_text(data.text, scope)}
    for name, source in (("subject", data.subject), ("html", data.html)):
        if source is not None:
            payload[name] = template.render_text(source, scope)
    visit.input = {"channel": channel, "to": to, **payload}
    if not payload["text"].strip():
        raise NodeFailure("notify", "the text is empty")
    sent = outgoing_notification.notification(visit, "notify", channel.strip(), to.strip(), payload)
    return awaited_message.begin(visit, sent)
