"""The parameters of an approved template, written as a provider accepts them.

WhatsApp refuses a parameter that is empty or that contains a line break, a tab or more than four spaces in a row
(source: Meta, "Cloud API, error codes", 132018 and 132012). Twilio passes its variables on to WhatsApp.

| value                         | written as                                                   |
|-------------------------------|--------------------------------------------------------------|
| text                          | itself; line breaks and runs of spaces become one space      |
| number, boolean, list, object | JSON: `10.5`, `true`, `["a","b"]`                            |
| null, empty text              | refused, with an error that names the parameter              |
| an object of WhatsApp's API   | itself; its texts and nulls as above                         |
"""

import re
from collections.abc import Callable
from typing import Any, Final

from filas.channels.invalid_content import InvalidContent
from filas.contract.storable_text import json_bytes

COMPONENTS: Final = frozenset({"header", "body", "button", "carousel", "limited_time_offer"})
"""The types of the components of WhatsApp's API."""

_TYPED: Final = frozenset(
    {
        "text", "currency", "date_time", "image", "video", "document", "location", "payload", "coupon_code", "action",
        "limited_time_offer", "product", "order_status", "tap_target_configuration",
    }
)  # fmt: skip
"""The types of a parameter object of WhatsApp's API. The object has a field of the same name."""

FIELD: Final = "template.parameters"

_BREAK_OR_RUN: Final = re.compile(r"\s{2,}|[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]")


def parameter_text(value: Any, field: str, what: str = "the template's parameter") -> str:
    """The value of the parameter at `field` as text. Raises InvalidContent for null and for an empty text."""
    if value is None:
        raise InvalidContent(f"{what} `{field}` is null; a provider refuses it: use `default`", "invalid", field)
    text = value if isinstance(value, str) else json_bytes(value).decode()
    text = _BREAK_OR_RUN.sub(" ", text).strip()
    if not text:
        raise InvalidContent(f"{what} `{field}` is empty; a provider refuses it: use `default`", "invalid", field)
    return text


def is_components(parameters: object) -> bool:
    """Whether the parameters are the components of WhatsApp's API, instead of values."""
    return (
        isinstance(parameters, list)
        and bool(parameters)
        and all(isinstance(one, dict) and _has_type(one, COMPONENTS) for one in parameters)
    )


def is_typed(value: object) -> bool:
    """Whether the value is a parameter object of WhatsApp's API, such as `{"type":"currency","currency":{…}}`."""
    return isinstance(value, dict) and _has_type(value, _TYPED) and value["type"] in value


def _has_type(value: dict[str, Any], types: frozenset[str]) -> bool:
    """Whether the field `type` has one of these values. It may have any value, also an object."""
    stated = value.get("type")
    return isinstance(stated, str) and stated in types


def written(parameters: Any) -> Any:
    """The parameters in the same form, with every value as text. Raises InvalidContent."""
    if isinstance(parameters, dict):
        return {name: _value(value, f"{FIELD}.{name}") for name, value in parameters.items()}
    if is_components(parameters):
        return [_component(one, f"{FIELD}[{index}]") for index, one in enumerate(parameters)]
    if isinstance(parameters, list):
        return [_value(value, f"{FIELD}[{index}]") for index, value in enumerate(parameters)]
    return parameters


def _value(value: Any, field: str) -> Any:
    if not is_typed(value):
        return parameter_text(value, field)
    if value["type"] == "text":
        return {**value, "text": parameter_text(value["text"], f"{field}.text")}
    return _refuse_missing(value, field)


def _refuse_missing(value: Any, field: str) -> Any:
    """A parameter object, whose texts become one line. Raises InvalidContent for a null or an empty text in it."""
    if isinstance(value, dict):
        return {name: _refuse_missing(item, f"{field}.{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [_refuse_missing(item, f"{field}[{index}]") for index, item in enumerate(value)]
    return parameter_text(value, field) if value is None or isinstance(value, str) else value


def _component(component: dict[str, Any], field: str) -> dict[str, Any]:
    change: Callable[[Any, str], Any] = _value
    if component["type"] == "carousel":
        change = _card
        name = "cards"
    else:
        name = "parameters"
    items = component.get(name)
    if not isinstance(items, list):
        return component
    return {**component, name: [change(item, f"{field}.{name}[{index}]") for index, item in enumerate(items)]}


def _card(card: Any, field: str) -> Any:
    components = card.get("components") if isinstance(card, dict) else None
    if not isinstance(components, list):
        return card
    found = [
        _component(one, f"{field}.components[{index}]") if isinstance(one, dict) and "type" in one else one
        for index, one in enumerate(components)
    ]
    return {**card, "components": found}
