"""Typebot's integrations: requests and e-mails are carried over; services without a node are left out."""

from collections.abc import Callable
from typing import Any, Final

from filas.flows.imports.foreign_fields import Json, mapping, number, objects, text, texts
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.outbound_fields import address, note_secret_headers, supported_method
from filas.flows.imports.typebot.response_paths import path_of
from filas.flows.imports.typebot.typebot_document import Block
from filas.flows.imports.typebot.typebot_scope import Part, TypebotScope

_MAX_TIMEOUT_MS: Final = 50_000
_EMAIL_CHANNEL: Final = "email"


def http_request(block: Block, scope: TypebotScope, report: BlockReport) -> Part | None:
    """A request of a block. None: it has no address."""
    webhook = _webhook(block, scope)
    url = address(scope.template(webhook.get("url"), report), report)
    if not url:
        report.add("no-address")
        return None
    data: dict[str, Any] = {"method": supported_method(text(webhook.get("method")) or "POST", report), "url": url}
    headers = _pairs(webhook.get("headers"), scope, report)
    query = _pairs(webhook.get("queryParams"), scope, report)
    if headers:
        data["headers"] = headers
        note_secret_headers(headers, report)
    if query:
        data["query"] = query
    if data["method"] not in ("GET", "HEAD"):
        body = scope.template(webhook.get("body"), report) if block.options.get("isCustomBody") is not False else ""
        if body.strip():
            data["body"] = body
        elif block.options.get("isCustomBody") is not True:
            data["body"] = scope.all_variables()
            report.add("all-variables-sent")
    timeout = number(block.options.get("timeout"))
    if timeout is not None:
        data["timeoutMs"] = min(max(int(timeout * 1000), 1), _MAX_TIMEOUT_MS)
    mapped = _mapping(block, scope, report)
    if mapped:
        data["responseMapping"] = mapped
    return scope.single(block, report, "api", data | {"onError": "continue"}, "request")


def _webhook(block: Block, scope: TypebotScope) -> Json:
    found = mapping(block.options.get("webhook")) or mapping(block.raw.get("webhook"))
    return found or scope.document.webhooks.get(text(block.raw.get("webhookId")), {})


def _pairs(value: object, scope: TypebotScope, report: BlockReport) -> dict[str, str]:
    found = {}
    for pair in objects(value)[:100]:
        name = text(pair.get("key")).strip()
        if name:
            found[name] = scope.template(pair.get("value"), report)
    return found


def _mapping(block: Block, scope: TypebotScope, report: BlockReport) -> list[dict[str, str]]:
    found = []
    for one in objects(block.options.get("responseVariableMapping"))[:100]:
        variable, written = scope.variable(one.get("variableId")), text(one.get("bodyPath"))
        path = path_of(written)
        if variable is None:
            continue
        if path is None:
            report.add("path-not-carried", path=written)
        else:
            found.append({"variable": variable, "path": path})
    return found


def email(block: Block, scope: TypebotScope, report: BlockReport) -> Part | None:
    options = block.options
    to = ", ".join(scope.template(one, report) for one in texts(options.get("recipients")))
    if not to.strip():
        report.add("nothing-to-send")
        return None
    body = scope.template(options.get("body"), report)
    data: dict[str, Any] = {"channel": _EMAIL_CHANNEL, "to": to, "text": body.strip() or "-"}
    subject = scope.template(options.get("subject"), report)
    if subject:
        data["subject"] = subject
    if options.get("isBodyCode") and body.strip():
        data["html"] = body
    for name in ("cc", "bcc"):
        copies = [scope.template(one, report) for one in texts(options.get(name))]
        if copies:
            data[name] = copies
    if text(options.get("replyTo")):
        data["replyTo"] = scope.template(options["replyTo"], report)
    if options.get("attachmentsVariableId"):
        report.add("attachments-left-out")
    if not options.get("isCustomBody") and not body.strip():
        names = scope.all_variables()
        data["text"] = "\n".join(f"{name}: {value}" for name, value in names.items()) or "-"
        report.add("all-variables-sent")
    report.add("needs-channel", channel=_EMAIL_CHANNEL)
    return scope.single(block, report, "notify", data | {"onError": "continue"}, "email")


INTEGRATIONS: Final[dict[str, Callable[[Block, TypebotScope, BlockReport], Part | None]]] = {
    "Webhook": http_request,
    "HTTP request": http_request,
    "Zapier": http_request,
    "Make.com": http_request,
    "Pabbly": http_request,
    "Email": email,
}

LEFT_OUT: Final = {
    "Google Sheets": "google-sheets",
    "Google Analytics": "only-in-browser",
    "Pixel": "only-in-browser",
    "Code": "script",
    "Script": "script",
    "Chatwoot": "human-hand-over",
    "zendesk": "human-hand-over",
    "payment input": "payment",
    "OpenAI": "artificial-intelligence",
    "openai": "artificial-intelligence",
    "anthropic": "artificial-intelligence",
    "mistral": "artificial-intelligence",
    "groq": "artificial-intelligence",
    "together-ai": "artificial-intelligence",
    "open-router": "artificial-intelligence",
    "perplexity": "artificial-intelligence",
    "deepseek": "artificial-intelligence",
    "dify-ai": "artificial-intelligence",
    "zemantic-ai": "artificial-intelligence",
    "Zemantic AI": "artificial-intelligence",
    "chat-node": "artificial-intelligence",
    "elevenlabs": "artificial-intelligence",
    "cal-com": "service",
    "qr-code": "service",
    "nocodb": "service",
    "segment": "service",
    "posthog": "service",
    "gmail": "service",
    "blink": "service",
    "note": "comment",
}
"""Types of blocks that are left out, with the note that states what to do. Other unknown types are `unsupported`."""
