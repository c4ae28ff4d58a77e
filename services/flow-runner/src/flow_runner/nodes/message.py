"""Runs `message`: records the messages that the notifier delivers."""

from filas.channels.invalid_content import InvalidContent
from filas.flows.nodes.message import MessageData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.nodes import awaited_message, outgoing_notification
from flow_runner.nodes.outgoing_content import recipient_of, rendered


async def run(visit: Visit) -> Done | Wait:
    if awaited_message.is_resumed(visit):
        return awaited_message.end(visit)
    data: MessageData = visit.data
    scope = visit.scope.roots
    channel = template.render_text(data.channel, scope) if data.channel else visit.claimed.channel
    recipient = template.render_text(data.to, scope) if data.to else visit.claimed.contact
    to = await recipient_of(visit, channel, recipient)
    try:
        payloads = [rendered(content, scope, to) for content in data.contents()]
    except InvalidContent as error:
        raise NodeFailure("message", str(error)) from None
    shown = payloads[0] if len(payloads) == 1 else {"messages": payloads}
    visit.input = {"channel": channel, "to": recipient, **shown}
    if data.text is not None and not payloads[0]["text"].strip():
        raise NodeFailure("message", "the text is empty")
    if data.template is not None and not payloads[0]["name"]:
        raise NodeFailure("message", "the name of the template is empty")
    thread = None if data.thread is None else template.render(data.thread, scope)
    return awaited_message.begin(visit, outgoing_notification.notifications(visit, "message", to, payloads, thread))
