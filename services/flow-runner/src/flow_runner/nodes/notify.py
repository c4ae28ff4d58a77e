"""Runs `notify`: records a notification to a recipient other than the conversation's contact."""

from filas.flows.nodes.notify import NotifyData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.nodes import awaited_message, outgoing_notification
from flow_runner.nodes.outgoing_content import recipient_of, rendered


async def run(visit: Visit) -> Done | Wait:
    if awaited_message.is_resumed(visit):
        return awaited_message.end(visit)
    data: NotifyData = visit.data
    scope = visit.scope.roots
    channel, recipient = template.render_text(data.channel, scope).strip(), _recipient(data, scope).strip()
    to = await recipient_of(visit, channel, recipient)
    payloads = [rendered(content, scope, to) for content in data.contents()]
    visit.input = {"channel": channel, "to": recipient, **payloads[0]}
    if not payloads[0]["text"].strip():
        raise NodeFailure("notify", "the text is empty")
    thread = None if data.thread is None else template.render(data.thread, scope)
    return awaited_message.begin(visit, outgoing_notification.notifications(visit, "notify", to, payloads, thread))


def _recipient(data: NotifyData, scope: template.Scope) -> str:
    """The recipient, or the recipients of an e-mail if the template is a list."""
    to = template.render(data.to, scope)
    return ", ".join(template.as_text(one) for one in to) if isinstance(to, list) else template.as_text(to)
