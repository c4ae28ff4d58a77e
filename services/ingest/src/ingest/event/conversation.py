"""Finds the conversation of an event: the webhook's `conversation` rule, and the reader of its provider."""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from filas.contract.group_keys import conversation_group, webhook_group
from filas.errors import PermanentError
from filas.flows.step_budget import shared_budget
from filas.models.configuration import ConversationRule
from filas.models.event_kinds import CONTENT_KINDS
from ingest.event.event_filter import EventFilter
from ingest.providers.known_providers import PROVIDERS
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, Provider, clean_contact

_PATH = re.compile(r"\{\{\s*(body|headers|queryParams)((?:\.[A-Za-z_][\w-]*|\[[0-9]{1,6}\])*)\s*\}\}", re.ASCII)
_SEGMENT = re.compile(r"\.([A-Za-z_][\w-]*)|\[([0-9]+)\]", re.ASCII)

MAX_STEPS = 20_000
"""How much all templates of a rule may compute for one event: about 50 milliseconds."""

_ABSENT = object()

Scope = dict[str, Any]
"""The names that a rule can use: `body`, `headers` and `queryParams`."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why an event has no conversation. `reason` is that of its event."""

    reason: Literal["no-channel", "no-contact"]
    detail: str


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """What starts one execution. Without a contact there is no conversation; `lacking` is then what was not found,
    although the webhook has a rule for conversations. `provider_channel` is the usual channel of the provider that sent
    the message. `is_message`: the contact said it, so it may answer a question. Otherwise, it is a business event."""

    channel: str | None
    contact: str | None
    message: IncomingMessage | None
    provider_channel: str | None = None
    lacking: Lacking | None = field(default=None, compare=False)
    is_message: bool = True


NO_CONVERSATION = ExecutionStart(None, None, None, is_message=False)

FILTERED = "filter"
"""The reason of an event that does not pass its webhook's filter."""


@dataclass(frozen=True, slots=True)
class Starts:
    """What an event starts. `reason` is why it starts nothing, such as `kind:reaction`; None if it starts something.
    `others` start nothing, but report several addresses of a contact together."""

    starts: Sequence[ExecutionStart]
    reason: str | None = None
    others: Sequence[ExecutionStart] = ()


@dataclass(frozen=True, slots=True)
class ReceiptPlace:
    """A delivery receipt, the channel that the rule or the provider names for it, and the provider's usual channel."""

    channel: str
    provider_channel: str
    receipt: IncomingReceipt


class Expression:
    """One field of a rule: a literal, a plain path such as `{{ body.from }}`, or another template.

    `is_direct`: the value needs no template engine, so it is known at acceptance.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        match = _PATH.fullmatch(source.strip())
        self._path: list[str | int] | None = None
        if match is not None:
            segments = _SEGMENT.findall(match[2])
            self._path = [match[1], *(name or int(index) for name, index in segments)]
        self._is_literal = "{{" not in source and "{%" not in source
        self.is_direct = self._is_literal or self._path is not None

    def value(self, scope: Scope) -> Any:
        """The value in `scope`, None if it is absent. Raises PermanentError for a template that fails."""
        if self._is_literal:
            return self.source
        if self._path is not None:
            return _walk(scope, self._path)
        # Imported here because Liquid takes memory and time to import, and few webhooks need it.
        templates = importlib.import_module("filas.flows.templates.template")
        try:
            rendered: str = templates.render_text(self.source, scope)
            return rendered
        except templates.UnknownName:
            return None
        except templates.TemplateError as error:
            raise PermanentError(f"invalid template in the webhook's conversation: {error}") from None


class ConversationReader:
    """Finds the starts of executions in an event, for one webhook. Only content, and the kinds that the rule accepts,
    start something, and of those only the ones that pass `event_filter`."""

    def __init__(self, provider: str, rule: ConversationRule | None, event_filter: EventFilter | None = None) -> None:
        rule = rule or ConversationRule()
        self._filter = event_filter
        self._provider: Provider | None = PROVIDERS.get(provider)
        self._channel = Expression(rule.channel) if rule.channel else None
        self._contact = Expression(rule.contact) if rule.contact else None
        self._text = Expression(rule.text) if rule.text else None
        self._accepted = CONTENT_KINDS.union(rule.accept)
        self._role = rule.role
        self._has_conversation = self._provider is not None or self._contact is not None
        self._is_direct = all(one is None or one.is_direct for one in (self._channel, self._contact))

    def starts(self, scope: Scope, event_key: str) -> Starts:
        """One start for each accepted message of the provider. A webhook without a provider has one start, and
        `event_key` is the id of its message. Raises PermanentError for a template or a filter that fails."""
        with shared_budget(MAX_STEPS):
            found = self._starts(scope, event_key)
            if self._filter is None or not found.starts:
                return found
            passing = [start for start in found.starts if self._filter.passes(scope, start.message)]
            return Starts(passing, None if passing else FILTERED, found.others)

    def _starts(self, scope: Scope, event_key: str) -> Starts:
        if self._provider is not None:
            return self._of_provider(self._provider, scope)
        contact, channel = self._value(self._contact, scope), self._value(self._channel, scope)
        if self._contact is None:
            return Starts([NO_CONVERSATION])
        if contact is None or channel is None:
            missing = "contact" if contact is None else "channel"
            lacking = _lacking(missing, self._contact if contact is None else self._channel)
            return Starts([ExecutionStart(None, None, None, lacking=lacking, is_message=False)])
        text = _as_text(self._text.value(scope)) if self._text is not None else None
        is_message = self._is_message(by_default=self._text is not None)
        message = IncomingMessage(id=event_key, kind="text" if is_message else "other", text=text, contact=contact)
        return Starts([ExecutionStart(channel, contact, message, is_message=is_message)])

    def _of_provider(self, provider: Provider, scope: Scope) -> Starts:
        body = scope["body"]
        messages = provider.messages(body)
        usual = provider.channel(body)
        starts = [self._of_message(one, usual, scope) for one in messages if one.kind in self._accepted]
        others = [
            self._of_message(one, usual, scope)
            for one in messages
            if one.aliases and one.contact is not None and one.kind not in self._accepted
        ]
        return Starts(starts, None if starts else f"kind:{messages[0].kind}", others)

    def receipts(self, scope: Scope) -> list[ReceiptPlace]:
        """The delivery receipts in the event, each with the channel over which its message was sent."""
        if self._provider is None:
            return []
        body = scope["body"]
        usual = self._provider.channel(body)
        channel = self._value(self._channel, scope) or usual
        return [ReceiptPlace(channel, usual, receipt) for receipt in self._provider.receipts(body)]

    def group(self, webhook_id: str, scope: Scope, part: Part | None = None) -> str | None:
        """The group key of the event's job. None if its webhook has no conversation, so that no order is needed.

        `part` is the part of the body that the provider's reader has found, if it has run already. If the contact needs
        a template, it is not known at acceptance, and all jobs of the webhook are one group.
        """
        if not self._has_conversation:
            return None
        if not self._is_direct:
            return webhook_group(webhook_id)
        channel, contact = self._known(scope, part)
        return conversation_group(channel, contact)

    def _known(self, scope: Scope, part: Part | None) -> tuple[str | None, str | None]:
        if self._provider is None:
            return self._value(self._channel, scope), self._value(self._contact, scope)
        body = scope["body"]
        parts = self._provider.parts(body) if part is None else [part]
        contact = next((one.contact for one in parts if one.contact is not None), None)
        if contact is None:
            return None, None
        channel = self._value(self._channel, scope) or self._provider.channel(body)
        return channel, self._value(self._contact, scope) or contact

    def _of_message(self, message: IncomingMessage, usual_channel: str, scope: Scope) -> ExecutionStart:
        channel = self._value(self._channel, scope) or usual_channel
        contact = self._value(self._contact, scope) or message.contact
        is_message = self._is_message(by_default=message.kind in CONTENT_KINDS)
        if contact is None:
            lacking = Lacking("no-contact", "the provider's message names no one who can be answered")
            return ExecutionStart(None, None, message, lacking=lacking, is_message=is_message)
        if contact != message.contact and contact not in message.aliases:
            # The rule names another contact than the provider, so the provider's addresses are not the contact's.
            message = msgspec.structs.replace(message, aliases=(), moved_to=None)
        text = message.text if self._text is None else _as_text(self._text.value(scope))
        if contact != message.contact or text != message.text:
            message = msgspec.structs.replace(message, contact=contact, text=text)
        return ExecutionStart(channel, contact, message, usual_channel, is_message=is_message)

    def _is_message(self, *, by_default: bool) -> bool:
        return by_default if self._role is None else self._role == "message"

    @staticmethod
    def _value(expression: Expression | None, scope: Scope) -> str | None:
        return clean_contact(expression.value(scope)) if expression is not None else None


def _lacking(name: str, expression: Expression | None) -> Lacking:
    reason: Literal["no-contact", "no-channel"] = "no-contact" if name == "contact" else "no-channel"
    if expression is None:
        return Lacking(reason, f"the webhook has no conversation.{name}")
    source = expression.source[:200]
    return Lacking(reason, f"the template of the webhook's conversation.{name}, `{source}`, is empty for the event")


def _walk(scope: Scope, path: list[str | int]) -> Any:
    value: Any = scope
    for segment in path:
        if isinstance(segment, str):
            value = value.get(segment, _ABSENT) if isinstance(value, dict) else _ABSENT
        elif isinstance(value, list) and segment < len(value):
            value = value[segment]
        else:
            return None
        if value is _ABSENT:
            return None
    return value


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
