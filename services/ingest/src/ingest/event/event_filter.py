"""The filter of a webhook: rules or a CEL expression that decide whether an event starts something."""

import importlib
from typing import Any

import msgspec

from filas.errors import PermanentError
from filas.flows.root_names import FILTER_ROOTS
from filas.models.configuration import FilterRule, WebhookFilter
from ingest.providers.message import IncomingMessage

_FIELDS = tuple(name for name in IncomingMessage.__struct_encode_fields__ if name != "rawPath")

Scope = dict[str, Any]


class EventFilter:
    """A filter whose expression or templates are parsed with the first event: few webhooks have one, and the libraries
    take memory and time to import."""

    def __init__(self, definition: WebhookFilter) -> None:
        self._definition = definition

    def passes(self, scope: Scope, message: IncomingMessage | None) -> bool:
        """Whether an event passes. `scope` has `body`, `headers` and `queryParams`. A missing value is null. The work
        counts in the current step budget. Raises PermanentError for a filter that cannot be evaluated."""
        values = {**scope, "message": _message_root(scope, message)}
        try:
            return self._evaluate(values)
        except ValueError as error:  # also of the templates, the expression and the step budget
            raise PermanentError(f"the webhook's filter cannot be evaluated: {error}") from None

    def _evaluate(self, values: Scope) -> bool:
        definition = self._definition
        if definition.expression is not None:
            cel = importlib.import_module("filas.flows.expressions.cel")
            return bool(cel.evaluate(definition.expression, values, FILTER_ROOTS))
        results = (_matches(rule, values) for rule in definition.rules or ())
        return all(results) if definition.logic == "and" else any(results)


def _matches(rule: FilterRule, values: Scope) -> bool:
    templates = importlib.import_module("filas.flows.templates.template")
    rules = importlib.import_module("filas.flows.expressions.rules")
    left = templates.evaluate_or_null(rule.variable, values)
    right = templates.evaluate_or_null(rule.value, values, rules.ESCAPES.get(rule.operator))
    return bool(rules.compare(rule.operator, left, right, exact=rule.exact, locale=rule.locale))


def _message_root(scope: Scope, message: IncomingMessage | None) -> Scope | None:
    """`message`: every field that a message can have, null where it has none, and `raw`, the provider's original. Its
    values are those of JSON: CEL knows no tuple."""
    if message is None:
        return None
    built = msgspec.to_builtins(message)
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in built.items()}
    raw: Any = scope["body"]
    for segment in message.raw_path:
        raw = raw[segment]
    return {**{name: fields.get(name) for name in _FIELDS}, "raw": raw if message.raw_path else None}
