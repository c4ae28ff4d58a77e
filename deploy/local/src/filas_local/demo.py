"""The demo: a flow with a condition, an API call, a delay and a message. It is loaded through the API."""

import json
from typing import Any

from filas.cli.api_client import Client, CommandFailed
from filas_local.launching import LocalRunError

FLOW_ID = WEBHOOK_ID = "demo"
CHANNEL_ID = "console"
EXAMPLE = {"from": "+5511999990000", "name": "Maria", "text": "oi"}

CHANNEL: dict[str, Any] = {"type": "console"}
WEBHOOK: dict[str, Any] = {
    "flowId": FLOW_ID,
    "nodeId": "start",
    "auth": {"type": "none"},
    "conversation": {"channel": CHANNEL_ID, "contact": "{{ body.from }}", "text": "{{ body.text }}"},
}


def flow(health_url: str) -> dict[str, Any]:
    """Returns the flow. It answers "oi" with a greeting, after a request to `health_url` and a delay of one second."""
    positions = ((0, 0), (220, 0), (440, -80), (660, -80), (880, -80), (440, 120))
    nodes: list[dict[str, Any]] = [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "is-oi",
            "type": "condition",
            "data": {
                "logic": "and",
                "rules": [{"variable": "{{ conversation.text }}", "operator": "contains", "value": "oi"}],
            },
        },
        {
            "id": "health",
            "type": "api",
            "data": {
                "method": "GET",
                "url": health_url,
                "timeoutMs": 5000,
                "responseMapping": [{"variable": "health", "path": "status"}],
                "retry": {"maxAttempts": 3, "delayMs": 1000},
            },
        },
        {"id": "think", "type": "delay", "data": {"ms": 1000}},
        {
            "id": "greet",
            "type": "message",
            "data": {"text": "Olá, {{ webhook.body.name | default: 'you' }}! Filas answered {{ vars.health }}."},
        },
        {"id": "sorry", "type": "message", "data": {"text": "I only know oi."}},
    ]
    for node, (x, y) in zip(nodes, positions, strict=True):
        node["position"] = {"x": x, "y": y}
    return {
        "schemaVersion": 1,
        "name": "Demo",
        "variables": [{"name": "health", "type": "number", "default": 0, "scope": "execution"}],
        "nodes": nodes,
        "edges": [
            {"id": "e1", "source": "start", "target": "is-oi"},
            {"id": "e2", "source": "is-oi", "sourceHandle": "true", "target": "health"},
            {"id": "e3", "source": "is-oi", "sourceHandle": "false", "target": "sorry"},
            {"id": "e4", "source": "health", "sourceHandle": "out", "target": "think"},
            {"id": "e5", "source": "think", "target": "greet"},
        ],
    }


def load(api_url: str, token: str) -> None:
    """Stores the channel, the flow and the webhook. An unchanged flow gets no new version. Raises LocalRunError."""
    api = Client(api_url, token)
    try:
        api.put("channels", CHANNEL_ID, body=CHANNEL)
        api.put("flows", FLOW_ID, body=flow(f"{api_url}/livez"))
        api.put("webhooks", WEBHOOK_ID, body=WEBHOOK)
    except CommandFailed as error:
        raise LocalRunError(f"the demo cannot be loaded: {error.message} {error.errors or ''}".strip()) from None


def curl_line(public_url: str) -> str:
    """Returns the command that sends the example to the demo."""
    body = json.dumps(EXAMPLE)
    return f"curl {public_url}/webhooks/{WEBHOOK_ID} -H 'Content-Type: application/json' -d '{body}'"
