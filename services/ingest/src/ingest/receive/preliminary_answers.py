"""The answers to requests that are no events: CORS preflights, HEAD requests and configured handshakes.

Sources: fetch.spec.whatwg.org, "CORS protocol"; learn.microsoft.com, Microsoft Graph, "Receive change notifications
through webhooks", "notificationUrl validation".
"""

import re
from collections.abc import Mapping
from typing import Final

from filas.models.configuration import Webhook
from ingest.http.answers import Answer
from ingest.http.error_answers import RejectedRequest
from ingest.verify.scheme import ReceivedRequest

MAX_HANDSHAKE: Final = 1024
"""The longest value that a handshake may have, in bytes."""

PREFLIGHT_MAX_AGE_S: Final = 600

_HEADER_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")


def preliminary_answer(webhook: Webhook, methods: frozenset[str], received_request: ReceivedRequest) -> Answer | None:
    """The answer to a request that is no event; None if it may be one. Raises RejectedRequest (400)."""
    method = received_request.method
    if method == "OPTIONS" and cors_headers(webhook, received_request.headers):
        return _preflight(webhook, received_request.headers)
    if webhook.handshake is not None:
        value = received_request.query.get(webhook.handshake.query)
        if value is not None:
            return _echo(value)
    if method == "HEAD" and "HEAD" in methods:
        return Answer(200, b"", "text/plain; charset=utf-8")
    return None


def cors_headers(webhook: Webhook, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that let a page of an origin in `cors` read the answer; empty for any other request."""
    if not webhook.cors:
        return {}
    origin = headers.get("Origin")
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if origin in webhook.cors and origin else {}


def _preflight(webhook: Webhook, headers: Mapping[str, str]) -> Answer:
    wanted = headers.get("Access-Control-Request-Headers", "")
    allowed = {
        **cors_headers(webhook, headers),
        "Access-Control-Allow-Methods": ", ".join(webhook.methods),
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }
    if _HEADER_NAMES.fullmatch(wanted):
        allowed["Access-Control-Allow-Headers"] = wanted
    return Answer(204, b"", headers=allowed)


def _echo(value: str) -> Answer:
    text = value.encode("utf-8", "replace")
    if len(text) > MAX_HANDSHAKE:
        raise RejectedRequest(400, "challenge", f"the value of the handshake exceeds {MAX_HANDSHAKE} bytes")
    return Answer(200, text, "text/plain; charset=utf-8")
