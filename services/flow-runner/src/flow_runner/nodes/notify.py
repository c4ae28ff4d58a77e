"""Runs `notify`."""

from typing import Any

from filas.flows.nodes.notify import NotifyData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, NodeRunner, Visit
from flow_runner.nodes import outgoing_notification


async def _run(visit: Visit) -> Done:
    data: NotifyData = visit.data
    scope = visit.scope.roots
    channel, to = template.render_text(data.channel, scope), template.render_text(data.to, scope)
    payload: dict[str, Any] = {"type": "text", "text": template.render_text(data.text, scope)}
    for name, given in (("subject", data.subject), ("html", data.html)):
        if given is not None:
            payload[name] = template.render_text(given, scope)
    visit.input = {"channel": channel, "to": to, **payload}
    if not payload["text"].strip():
        raise NodeFailure("notify", "the text is empty")
    sent = outgoing_notification.notification(visit, "notify", channel.strip(), to.strip(), payload)
    return Done({"notificationId": str(sent.id), "channel": channel, "to": to}, notifications=[sent])


RUNNER = NodeRunner(_run)
