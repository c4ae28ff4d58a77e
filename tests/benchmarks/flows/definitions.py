"""The measured flows."""

from typing import Any

from tests.flow_runner.harness import chain, flow, node

NAME = [{"name": "nome", "type": "string", "default": ""}, {"name": "pedido", "type": "string", "default": ""}]
IS_HI = node(
    "is-hi", "condition", rules=[{"variable": "{{ webhook.body.text }}", "operator": "contains", "value": "oi"}]
)
ORDER = node("order", "set-variable", assignments=[{"variable": "pedido", "value": "{{ webhook.body.text | upcase }}"}])
HELLO = node("hello", "message", text="Olá {{ vars.nome }}: {{ vars.pedido }}")


def _call(url: str) -> dict[str, Any]:
    mapping = [{"variable": "nome", "path": "body.name"}]
    body = {"phone": "{{ conversation.contact }}"}
    return node("crm", "api", method="POST", url=f"{url}/contacts", body=body, responseMapping=mapping)


def with_message(url: str) -> dict[str, Any]:
    """webhook → condition → set-variable → api → message."""
    edges = "start>is-hi is-hi.true>order order>crm crm>hello"
    return flow(IS_HI, ORDER, _call(url), HELLO, edges=edges, variables=NAME)


def without_message(url: str) -> dict[str, Any]:
    """webhook → condition → api."""
    return flow(IS_HI, _call(url), edges="start>is-hi is-hi.true>crm", variables=NAME)


def waiting_a_day() -> dict[str, Any]:
    """webhook → delay of a day → message."""
    return chain(node("wait", "delay", ms=24 * 3600 * 1000), HELLO, variables=NAME)
