"""Renders what a node sends, for the channel that it goes to."""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.channels import template_parameters, text_escapes
from filas.channels.content_limits import LIMITS, limits_of
from filas.channels.text_escapes import Escape, escape_of
from filas.flows.templates import template
from filas.flows.templates.url_text import render_url
from flow_runner.engine.node_protocol import Visit

_MARKED = frozenset({"text", "caption", "subject", "footer"})
"""Fields in which a channel may know markup."""

_ADDRESSES = frozenset({"cc", "bcc", "replyTo"})
"""Fields of an e-mail that are a text or a list of texts."""

_LITERAL = frozenset({"type", "kind", "parseMode"})


class Recipient(msgspec.Struct, frozen=True):
    """Where a message goes: the id of the channel and its type, if it is known, and the recipient."""

    channel: str | None
    to: str | None
    type: str | None

    def escape(self, content: Mapping[str, Any]) -> Escape | None:
        """The function that escapes values in the texts of the content."""
        return escape_of(self.type, self.to, content.get("parseMode"))


async def recipient_of(visit: Visit, channel: str | None, to: str | None) -> Recipient:
    """Looks up the type of the channel. A channel that is not stored has the type that its id names. Raises
    StoreUnavailable."""
    if channel is None:
        return Recipient(channel, to, None)
    found = await visit.channels.type_of(channel)
    return Recipient(channel, to, found or (channel if channel in LIMITS else None))


def rendered(content: Mapping[str, Any], scope: template.Scope, to: Recipient) -> dict[str, Any]:
    """Renders the templates of a content. Values are escaped in every text in which the channel has markup. Raises
    TemplateError, and InvalidContent for the parameters of an approved template."""
    escape = to.escape(content)
    if content["type"] == "template":
        return _template(content, scope, escape)
    result = {name: _value(name, value, scope, escape) for name, value in content.items()}
    if "html" in content:
        result["html"] = template.render_text(content["html"], scope, text_escapes.html)
    if "header" in content:
        # Slack shows a header as plain text.
        result["header"] = template.render_text(content["header"], scope, None if to.type == "slack" else escape)
    limits = limits_of(to.type)
    if limits is not None and limits.buttons is None and escape is not None:
        # Choices become lines of the text.
        for name in ("buttons", "sections"):
            if name in content:
                result[name] = _choices(content[name], scope, escape)
    return result


def _value(name: str, value: Any, scope: template.Scope, escape: Escape | None) -> Any:
    if value is None or name in _LITERAL:
        return value
    if name in _ADDRESSES:
        return template.render(value, scope)
    if isinstance(value, list):
        return [{field: _value(field, item, scope, None) for field, item in one.items()} for one in value]
    if name == "url":
        return render_url(value, scope, name)
    return template.render_text(value, scope, escape if name in _MARKED else None)


def _choices(value: Any, scope: template.Scope, escape: Escape) -> Any:
    if isinstance(value, list):
        return [_choices(one, scope, escape) for one in value]
    return {
        name: _choices(item, scope, escape) if isinstance(item, list) else _line(name, item, scope, escape)
        for name, item in value.items()
    }


def _line(name: str, value: str, scope: template.Scope, escape: Escape) -> str:
    if name == "url":
        return render_url(value, scope, name)
    return template.render_text(value, scope, None if name == "id" else escape)


def _template(content: Mapping[str, Any], scope: template.Scope, escape: Escape | None) -> dict[str, Any]:
    parameters = content["parameters"]
    # The components of the provider's API contain addresses and payloads too.
    escape = None if template_parameters.is_components(parameters) else escape
    return {
        "type": "template",
        "name": template.render_text(content["name"], scope).strip(),
        "language": template.render_text(content["language"], scope).strip(),
        "parameters": template_parameters.written(template.render(parameters, scope, escape)),
    }
