"""What a form needs to know about the fields of a definition besides their types. The JSON Schema has it as `x-editor`.

Hints of a field:

| hint | meaning |
|---|---|
| `template` | a text with templates, or JSON with them |
| `lines` | a text of several lines; the height of its field |
| `format` | what a text or a number is: see FORMATS |
| `suggest` | a new row gets an id that begins with this word |
| `advanced` | rarely needed: shown below the others, closed |
| `json` | a value of any type is written as JSON at first, otherwise as a text |
| `text` | a value of any type is always a text |
| `handles` | a list whose items have a handle each, named by their `id` |
| `empty` | an empty object means something else than no object |
| `hidden` | a form does not show it |

A part has `alternatives`: groups of options, of which one applies. An option lists the fields that apply with it alone.
With `by`, the value of that field is the option. A part with `control` `interval` is one number with a unit.
"""

from typing import Any, Final

FORMATS: Final = (
    "duration-ms",
    "variable",
    "flow",
    "channel",
    "timezone",
    "expression",
    "handle",
)
"""Milliseconds; the name of a declared variable; an id of a stored flow or channel; an IANA name; CEL; a handle."""

_TEXT: Final = {"template": True}
_DURATION: Final = {"format": "duration-ms"}
_RARE: Final = {"advanced": True}


def _long(lines: int) -> dict[str, Any]:
    return {"template": True, "lines": lines}


COMMON: Final[dict[str, dict[str, Any]]] = {
    "onError": _RARE,
    "retry": _RARE,
    "await": _RARE,
    "awaitMs": _RARE | _DURATION,
    "timeoutMs": _DURATION,
    "parseMode": _RARE,
    "thread": _RARE | _TEXT,
    "locale": _RARE,
    "expression": {"format": "expression", "lines": 3},
}
"""Fields with the same name in several parts."""

FIELDS: Final[dict[str, dict[str, Any]]] = {
    "Flow.$schema": {"hidden": True},
    "Flow.schemaVersion": {"hidden": True},
    "Flow.id": {"hidden": True},
    "Flow.viewport": {"hidden": True},
    "Flow.notes": {"hidden": True},
    "Flow.nodes": {"hidden": True},
    "Flow.edges": {"hidden": True},
    "Flow.settings": _RARE,
    "Flow.description": {"text": True, "lines": 2},
    "Settings.errorFlowId": {"format": "flow"},
    "Settings.undeliveredFlowId": {"format": "flow"},
    "Settings.timezone": {"format": "timezone"},
    "Settings.locale": {"advanced": False},
    "ConversationSettings.idleMs": _DURATION,
    "Retry.delayMs": _DURATION,
    "Retry.maxDelayMs": _DURATION,
    "MessageData.text": _long(4),
    "MessageData.listLabel": _TEXT,
    "MessageData.header": _TEXT,
    "MessageData.footer": _TEXT,
    "MessageData.channel": _RARE | _TEXT | {"format": "channel"},
    "MessageData.to": _RARE | _TEXT,
    "MessageData.thread": {"empty": True},
    "Media.url": _TEXT,
    "Media.caption": _long(2),
    "Button.id": _TEXT | {"suggest": "button"},
    "Button.title": _TEXT,
    "Button.url": _TEXT,
    "Button.description": _TEXT,
    "Section.title": _TEXT,
    "Row.id": _TEXT | {"suggest": "row"},
    "Row.title": _TEXT,
    "Row.description": _TEXT,
    "MessageTemplate.name": _TEXT,
    "MessageTemplate.language": _TEXT,
    "MessageTemplate.parameters": _TEXT,
    "Rule.variable": _TEXT,
    "Rule.value": _TEXT,
    "SwitchData.cases": {"handles": True},
    "Case.id": {"format": "handle", "suggest": "case"},
    "ApiData.url": _TEXT,
    "ApiData.headers": _TEXT,
    "ApiData.query": _TEXT,
    "ApiData.body": _long(4) | {"json": True},
    "ApiData.acceptStatus": _RARE,
    "ApiData.onUncertain": _RARE,
    "ApiData.answer": _RARE,
    "ResponseMapping.variable": {"format": "variable"},
    "DelayData.ms": _DURATION,
    "DelayData.until": _TEXT,
    "DelayData.timezone": {"format": "timezone"},
    "WebhookData.url": _TEXT,
    "WebhookData.headers": _TEXT,
    "WebhookData.body": _long(4) | {"json": True},
    "WebhookData.secret": _TEXT,
    "InputData.prompt": _long(3),
    "InputData.variable": {"format": "variable"},
    "InputData.choices": {"handles": True},
    "InputData.retryPrompt": _long(2),
    "InputData.collectMs": _RARE | _DURATION,
    "Choice.id": {"format": "handle", "suggest": "choice"},
    "Choice.title": _TEXT,
    "Assignment.variable": {"format": "variable"},
    "Assignment.value": _TEXT,
    "LoopData.items": _TEXT,
    "NotifyData.channel": _TEXT | {"format": "channel"},
    "NotifyData.to": _TEXT,
    "NotifyData.text": _long(4),
    "NotifyData.subject": _TEXT,
    "NotifyData.html": _RARE | _long(4),
    "NotifyData.cc": _RARE | _TEXT,
    "NotifyData.bcc": _RARE | _TEXT,
    "NotifyData.replyTo": _RARE | _TEXT,
    "NotifyData.attachments": _RARE,
    "Attachment.url": _TEXT,
    "Attachment.name": _TEXT,
    "SubflowData.flowId": {"format": "flow"},
    "SubflowData.input": _TEXT,
    "EndData.output": _long(4) | {"json": True},
}
"""By part and field: what differs from COMMON is added to it."""

_TEST: Final = [{"name": "test", "options": {"rules": ["logic", "rules"], "expression": ["expression"]}}]
_BESIDE_CHOICES: Final = ["listLabel", "header", "footer"]
_SENT: Final = ["url", "method", "headers", "body", "secret", "onError", "retry"]

PARTS: Final[dict[str, dict[str, Any]]] = {
    "MessageData": {
        "alternatives": [
            {
                "name": "content",
                "options": {
                    "text": ["text", "buttons", "sections", *_BESIDE_CHOICES, "parseMode"],
                    "media": ["media", "parseMode"],
                    "template": ["template"],
                },
            },
            {
                "name": "choices",
                "options": {
                    "none": [],
                    "buttons": ["buttons", *_BESIDE_CHOICES],
                    "sections": ["sections", *_BESIDE_CHOICES],
                },
            },
        ]
    },
    "Button": {"alternatives": [{"name": "press", "options": {"reply": ["id", "description"], "link": ["url"]}}]},
    "ConditionData": {"alternatives": _TEST},
    "Case": {"alternatives": _TEST},
    "DelayData": {
        "alternatives": [
            {
                "name": "end",
                "options": {
                    "ms": ["ms"],
                    "every": ["every", "timezone"],
                    "until": ["until", "timezone"],
                    "cron": ["cron", "timezone"],
                },
            }
        ]
    },
    "WebhookData": {
        "alternatives": [
            {"name": "mode", "by": "mode", "options": {"trigger": [], "send": _SENT, "wait": ["timeoutMs"]}}
        ]
    },
    "InputData": {
        "alternatives": [{"name": "kind", "by": "kind", "options": {"choice": ["choices"], "regex": ["pattern"]}}]
    },
    "Interval": {"control": "interval"},
}


def add_hints(schema: dict[str, Any]) -> None:
    """Adds the hints to the parts and fields of a schema."""
    for name, part in (("Flow", schema), *schema["$defs"].items()):
        if name in PARTS:
            part["x-editor"] = PARTS[name]
        for field, described in part["properties"].items():
            hints = COMMON.get(field, {}) | FIELDS.get(f"{name}.{field}", {})
            if hints:
                described["x-editor"] = hints
