"""Runs `webhook`: the trigger shows what came in, `send` makes a signed call, `wait` waits for one."""

from datetime import timedelta
from typing import Any

from filas.crypto import standard_webhooks
from filas.flows.nodes.webhook import WebhookData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, NodeRunner, Visit, Wait
from flow_runner.engine.redaction import HIDDEN, headers_shown
from flow_runner.nodes import outbound_call

SEND_TIMEOUT_S = 15.0


async def _run(visit: Visit) -> Done | Wait:
    data: WebhookData = visit.data
    if data.mode == "wait":
        return _wait(visit, data)
    return await _send(visit, data) if data.mode == "send" else _trigger(visit)


def _wait(visit: Visit, data: WebhookData) -> Done | Wait:
    """The call may have come before: whoever knows the address may use it from the execution's beginning."""
    pending, callback = visit.pending, visit.callback
    if callback is None:
        raise NodeFailure("wait", "the node has no address to be called at")
    visit.input = {"mode": "wait", "url": callback.address}
    if pending is not None and pending.call is not None:
        call = pending.call
        return Done(call, shown={**call, "headers": headers_shown(call.get("headers") or {})})
    until = pending.wake_at if pending is not None and pending.reason == "wait" else None
    if until is not None and until <= visit.now:
        return Done({"body": None, "headers": {}, "queryParams": {}}, "timeout")
    if until is None and data.timeout_ms is not None:
        until = visit.now + timedelta(milliseconds=data.timeout_ms)
    return Wait(until, status="waiting-callback", callback_id=callback.id)


def _trigger(visit: Visit) -> Done:
    webhook = visit.scope.webhook
    visit.input = {"mode": "trigger"}
    return Done(webhook, shown={**webhook, "headers": headers_shown(webhook.get("headers") or {})})


async def _send(visit: Visit, data: WebhookData) -> Done:
    scope = visit.scope.roots
    url = template.render_text(data.url or "", scope)
    headers = outbound_call.render_headers(data.headers or {}, scope)
    visit.input = {"mode": "send", "method": data.method, "url": url, "headers": headers_shown(headers)}
    body = outbound_call.encode_body(data.body, headers, scope) or b""
    visit.input["body"] = template.render(data.body, scope)
    if data.secret is not None:
        secret = template.render_text(data.secret, scope)
        visit.scope.redactor.hide(secret)
        visit.input["secret"] = HIDDEN
        headers.update(_signature(secret, visit, body))
    outbound_call.set_missing(headers, "Idempotency-Key", visit.key)
    answer = await outbound_call.call(visit, data.method, url, headers, body)
    return Done(answer, shown={**answer, "headers": headers_shown(answer["headers"])})


def _signature(secret: str, visit: Visit, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks. The message's id is the effect's key: the same in every try."""
    try:
        return standard_webhooks.signed_headers([secret], visit.key, int(visit.now.timestamp()), body)
    except ValueError as error:
        raise NodeFailure("signature", f"the secret can't sign: {error}") from None


def _call_s(data: Any) -> float:
    return SEND_TIMEOUT_S if data.mode == "send" else 0.0


RUNNER = NodeRunner(_run, _call_s)
