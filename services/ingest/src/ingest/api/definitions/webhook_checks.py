"""What a webhook's definition refers to: its flow, node and channel, and the names in its templates and its filter.

A name of a field can only be checked against events that the webhook has received. A field that none of them has, and
that resembles a field that they do have, is most likely misspelt.
"""

import base64
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from filas.flows.expressions import cel
from filas.flows.nodes.condition import check_test, templates_of
from filas.flows.root_names import EVENT_ROOTS, FILTER_ROOTS
from filas.flows.templates import template
from filas.models.configuration import Channel, FlowVersion, Webhook
from filas.models.events import Event
from filas.models.record import Page
from filas.repository.event_filter import EventFilter
from ingest.api.definitions.similar_names import SIMILAR, NamedDefinitions, suggestion
from ingest.api.routing.problems import FieldError
from ingest.event import body_parsing
from ingest.providers.message import IncomingMessage

MAX_EVENTS: Final = 20
"""How many of the newest events are compared with the names. A page of them has at most about 1 MiB."""

MAX_EVENT_BYTES: Final = 64 * 1024
"""A larger body is not compared."""

_MESSAGE_FIELDS: Final = frozenset({*IncomingMessage.__struct_encode_fields__, "raw"} - {"rawPath"})
_HAS_ALTERNATIVES: Final = ("default", "{%", "has(", "||", "?")
"""A template or expression with one of these may name a field that only some events have."""


class ChannelStore(NamedDefinitions, Protocol):
    """The definitions of channels (`ChannelRepository`)."""

    async def get(self, channel_id: str, /) -> Channel | None:
        """Returns the channel, or None. Raises StoreUnavailable."""


class EventStore(Protocol):
    """The recorded events (`EventRepository`)."""

    async def search(self, wanted: EventFilter, *, limit: int) -> Page:
        """Returns the newest events that match. Raises StoreUnavailable."""


async def reference_errors(webhook: Webhook, flow: FlowVersion | None, flows: NamedDefinitions) -> list[FieldError]:
    """Returns the error of a flow or a node that does not exist. Raises StoreUnavailable."""
    if flow is None:
        message = f"no flow {webhook.flow_id!r} is stored{await suggestion(webhook.flow_id, flows)}"
        return [FieldError(field="flowId", message=message)]
    if not flow.published:
        message = f"no version of flow {flow.flow_id!r} is published: publish it first"
        return [FieldError(field="flowId", message=message)]
    nodes = [str(node.get("id")) for node in flow.definition.get("nodes", [])]
    if webhook.node_id in nodes:
        return []
    hint = _hint(webhook.node_id, nodes)
    return [FieldError(field="nodeId", message=f"flow {flow.flow_id!r} has no node {webhook.node_id!r}{hint}")]


async def channel_errors(webhook: Webhook, channels: ChannelStore) -> list[FieldError]:
    """Returns the error of a channel that does not exist. One that a template names is known only with an event."""
    name = webhook.conversation.channel if webhook.conversation is not None else None
    if not name or "{{" in name or "{%" in name or await channels.get(name) is not None:
        return []
    message = f"no channel {name[:200]!r} is stored{await suggestion(name, channels)}"
    return [FieldError(field="conversation.channel", message=message)]


async def template_errors(webhook: Webhook, events: EventStore) -> list[FieldError]:
    """Returns the errors of the templates in `conversation`, and of `filter`: syntax, unknown names, likely typos."""
    errors: list[FieldError] = []
    named: list[tuple[str, str, tuple[template.Reference, ...]]] = []
    for field, source, roots in _templates(webhook):
        try:
            references = template.parse(source).references
        except template.TemplateError as error:
            errors.append(FieldError(field=field, message=f"invalid template: {error}"))
            continue
        unknown = [problem for reference in references if (problem := _unknown(reference, roots))]
        errors += [FieldError(field=field, message=message) for message in dict.fromkeys(unknown)]
        named.append((field, source, references))
    errors += _filter_errors(webhook)
    expression = webhook.filter.expression if webhook.filter is not None else None
    if expression is not None and not errors:
        references = cel.references(expression, FILTER_ROOTS)
        unknown = [problem for reference in references if (problem := _unknown(reference, FILTER_ROOTS))]
        errors += [FieldError(field="filter.expression", message=message) for message in dict.fromkeys(unknown)]
        named.append(("filter.expression", expression, references))
    if errors or not any(references for _, _, references in named):
        return errors
    page = await events.search(EventFilter(webhook_id=webhook.id), limit=MAX_EVENTS)
    scopes = [_scope(event) for event in page.items if len(event.body) <= MAX_EVENT_BYTES]
    for field, source, references in named:
        if not any(part in source for part in _HAS_ALTERNATIVES):
            typos = [typo for reference in references if (typo := _typo(reference, scopes))]
            errors += [FieldError(field=field, message=message) for message in dict.fromkeys(typos)]
    return errors


def _templates(webhook: Webhook) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The field, the text and the known names of each template."""
    rule = webhook.conversation
    for name in ("channel", "contact", "text") if rule is not None else ():
        if source := getattr(rule, name):
            yield f"conversation.{name}", source, EVENT_ROOTS
    if webhook.filter is not None:
        for field, value in templates_of(webhook.filter, "filter."):
            for path, text in template.texts(value):
                yield field + path, text, FILTER_ROOTS


def _filter_errors(webhook: Webhook) -> list[FieldError]:
    errors: list[FieldError] = []
    if webhook.filter is not None:
        check_test(
            webhook.filter,
            lambda field, message: errors.append(FieldError(field=field, message=message)),
            "filter.",
            FILTER_ROOTS,
        )
    return errors


def _unknown(reference: template.Reference, roots: Sequence[str]) -> str | None:
    root, member = (*reference, None)[:2]
    if root not in roots:
        known = f"; known are {', '.join(roots)}"
        return f"unknown name {str(root)[:100]!r}{_hint(str(root), roots) or known}"
    if root == "message" and isinstance(member, str) and member not in _MESSAGE_FIELDS:
        names = sorted(_MESSAGE_FIELDS)
        return f"unknown name 'message.{member[:100]}'{_hint(member, names) or '; known are ' + ', '.join(names)}"
    return None


def _scope(event: Event) -> dict[str, Any]:
    body = base64.b64decode(event.body) if event.body_encoding == "base64" else event.body.encode()
    try:
        document = body_parsing.read(event.content_type, body).document
    except body_parsing.UnreadableBody:
        document = None
    return {"body": document, "headers": event.headers, "queryParams": event.query_params}


def _typo(reference: template.Reference, scopes: Sequence[dict[str, Any]]) -> str | None:
    """The error of a path that no event has, if some event has a similar one instead."""
    if reference[0] not in EVENT_ROOTS:
        return None
    others: list[str] = []
    for scope in scopes:
        missing = _missing(reference, scope)
        if missing is None:
            return None
        others += missing
    for other in others:
        return f"`{_written(reference)}`: did you mean `{other}`?"
    return None


def _missing(reference: template.Reference, scope: dict[str, Any]) -> list[str] | None:
    """None if the scope has the path, else the similar path that it has instead, if any."""
    value: Any = scope
    for depth, segment in enumerate(reference):
        if segment is None or (isinstance(value, (list, str)) and not isinstance(segment, int)):
            return None  # a computed part, or a property such as `size`
        if isinstance(segment, int):
            if not isinstance(value, list) or segment >= len(value):
                return []
            value = value[segment]
            continue
        if not isinstance(value, dict):
            return []
        if segment not in value:
            near = difflib.get_close_matches(segment.lower(), [str(key) for key in list(value)[:200]], 1, SIMILAR)
            return [_written((*reference[:depth], near[0], *reference[depth + 1 :]))] if near else []
        value = value[segment]
    return None


def _written(reference: template.Reference) -> str:
    text = str(reference[0])
    for segment in reference[1:]:
        text += f"[{segment}]" if isinstance(segment, int) else f".{segment}"
    return text


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, SIMILAR)
    return f": did you mean `{near[0]}`?" if near else ""
