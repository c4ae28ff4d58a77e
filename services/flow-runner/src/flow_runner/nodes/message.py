"""Runs `message`: records a message that the notifier delivers."""

from typing import Any

from filas.channels import template_parameters
from filas.channels.invalid_content import InvalidContent
from filas.flows.nodes.message import MessageData, MessageTemplate
from filas.flows.templates import template
from filas.flows.templates.url_text import render_url
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.nodes import awaited_message, outgoing_notification


async def run(visit: Visit) -> Done | Wait:
    if awaited_message.is_resumed(visit):
        return awaited_message.end(visit)
    data: MessageData = visit.data
    scope = visit.scope.roots
    payload = _payload(data, scope)
    channel = template.render_text(data.channel, scope) if data.channel else visit.claimed.channel
    to = template.render_text(data.to, scope) if data.to else visit.claimed.contact
    visit.input = {"channel": channel, "to": to, **payload}
    notification = outgoing_notification.notification(visit, "message", channel, to, payload)
    return awaited_message.begin(visit, notification)


def _payload(data: MessageData, scope: template.Scope) -> dict[str, Any]:
    """The content in a form that fits every channel. Its first field is `type`."""
    if data.media:
        caption = template.render_text(data.media.caption, scope) if data.media.caption else None
        url = render_url(data.media.url, scope, "media.url")
        return {"type": "media", "kind": data.media.kind, "url": url, "caption": caption}
    if data.template:
        return _template(data.template, scope)
    text = template.render_text(data.text or "", scope)
    if not text.strip():
        raise NodeFailure("message", "the text is empty")
    if not data.buttons:
        return {"type": "text", "text": text}
    buttons = [
        {"id": template.render_text(button.id, scope), "title": template.render_text(button.title, scope)}
        for button in data.buttons
    ]
    return {"type": "buttons", "text": text, "buttons": buttons}


def _template(asked: MessageTemplate, scope: template.Scope) -> dict[str, Any]:
    name = template.render_text(asked.name, scope).strip()
    if not name:
        raise NodeFailure("message", "the name of the template is empty")
    try:
        parameters = template_parameters.written(template.render(asked.parameters, scope))
    except InvalidContent as error:
        raise NodeFailure("message", str(error)) from None
    language = template.render_text(asked.language, scope).strip()
    return {"type": "template", "name": name, "language": language, "parameters": parameters}
