"""Runs `webhook`: the trigger shows the request, `send` makes a signed call, and `wait` waits for a callback."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from filas.crypto import standard_webhooks
from filas.crypto.redaction import HIDDEN
from filas.flows.nodes.webhook import WebhookData
from filas.flows.templates import template
from filas.flows.templates.url_text import render_url
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit, Wait
from flow_runner.engine.redaction import headers_shown
from flow_runner.engine.secret_placeholder import signing_secret
from flow_runner.nodes.outbound_call import OutboundCall, make_call


async def run(visit: Visit) -> Done | Wait:
    data: WebhookData = visit.data
    if data.mode == "wait":
        return _wait(visit, data)
    return await _send(visit, data) if data.mode == "send" else _trigger(visit)


def _wait(visit: Visit, data: WebhookData) -> Done | Wait:
    """The callback may have been made already: its address is valid from the execution's start."""
    pending, callback = visit.pending, visit.callback
    if callback is None:
        raise NodeFailure("wait", "the node has no address for a callback")
    visit.input = {"mode": "wait", "url": callback.address}
    if pending is not None and pending.call is not None:
        return _shown_safely(pending.call)
    until = pending.wake_at if pending is not None and pending.reason == "wait" else None
    if until is not None and until <= visit.now:
        return Done({"body": None, "headers": {}, "queryParams": {}}, "timeout")
    if until is None and data.timeout_ms is not None:
        until = visit.now + timedelta(milliseconds=data.timeout_ms)
    return Wait(until, status="waiting-callback", callback_id=callback.id)


def _trigger(visit: Visit) -> Done:
    visit.input = {"mode": "trigger"}
    return _shown_safely(visit.scope.webhook)


def _shown_safely(request: Any) -> Done:
    """A request as output. The trace does not show its credentials."""
    return Done(request, shown={**request, "headers": headers_shown(request.get("headers") or {})})


async def _send(visit: Visit, data: WebhookData) -> Done:
    scope = visit.scope.roots
    url = render_url(data.url or "", scope)
    visit.input = {"mode": "send"}

    def sign(body: bytes) -> Mapping[str, str]:
        """The headers of Standard Webhooks. The id is the effect's key, which is the same in each attempt."""
        secret = signing_secret(template.render_text(data.secret or "", scope), scope["secrets"])
        visit.scope.redactor.hide(secret)
        visit.input["secret"] = HIDDEN
        try:
            return standard_webhooks.signed_headers([secret], visit.key, int(visit.now.timestamp()), body)
        except ValueError as error:
            raise NodeFailure("signature", f"the secret cannot sign: {error}") from None

    call = OutboundCall(
        data.method,
        url,
        data.headers or {},
        data.body,
        sign=None if data.secret is None else sign,
        always_has_body=True,
        # The other side has received the webhook, whatever text it answers with.
        reading="lenient",
    )
    return await make_call(visit, call)
