"""n8n's outgoing calls and messages: requests, WhatsApp, Telegram, Slack, e-mail."""

from typing import Any, Final

from filas.flows.imports.foreign_fields import mapping, number, objects, text
from filas.flows.imports.n8n.n8n_parts import Convert, N8nCall, N8nPart, json_of
from filas.flows.imports.n8n.n8n_scope import NodeData
from filas.flows.imports.outbound_fields import address, note_secret_headers, supported_method

_MAX_TIMEOUT_MS: Final = 50_000
_FORMS: Final = {"form-urlencoded": "application/x-www-form-urlencoded", "multipart-form-data": "multipart/form-data"}
_CONTACT: Final = "{{ conversation.contact }}"


def http_request(call: N8nCall) -> N8nPart | None:
    parameters = call.parameters
    url = address(call.template(parameters.get("url")), call.report)
    if not url:
        call.report.add("no-address")
        return None
    method = text(parameters.get("method")) or text(parameters.get("requestMethod")) or "GET"
    data: dict[str, Any] = {"method": supported_method(method, call.report), "url": url}
    headers = _pairs(call, "header")
    query = _pairs(call, "query")
    if data["method"] not in ("GET", "HEAD"):
        _add_body(call, data, headers)
    if headers:
        data["headers"] = headers
        note_secret_headers(headers, call.report)
    if query:
        data["query"] = query
    if text(parameters.get("authentication")) not in ("", "none"):
        call.report.add("credentials")
    timeout = number(call.node.part("options").get("timeout"))
    if timeout is not None:
        data["timeoutMs"] = min(max(int(timeout), 1), _MAX_TIMEOUT_MS)
    response = mapping(mapping(call.node.part("options").get("response")).get("response"))
    whole = response.get("fullResponse") is True
    root = f"nodes.{call.node_id}.output" + ("" if whole else ".body")
    call.scope.data[call.node.name] = NodeData("root", root=root)
    data, handles = call.fallible(data)
    return call.add("api", data, *handles)


def _pairs(call: N8nCall, kind: str) -> dict[str, Any]:
    """The headers or the query: rows, or JSON."""
    parameters = call.parameters
    rows = objects(mapping(parameters.get(f"{kind}Parameters")).get("parameters"))
    rows += objects(mapping(parameters.get(f"{kind}ParametersUi")).get("parameter"))
    found = {text(row.get("name")): call.template(row.get("value")) for row in rows[:100] if text(row.get("name"))}
    written = text(parameters.get("jsonHeaders" if kind == "header" else "jsonQuery"))
    written = written or text(parameters.get(f"{kind}ParametersJson"))
    if not found and written:
        pairs = mapping(json_of(call, written))
        if not pairs:
            call.report.add("code-not-carried", code=written)
        found = {name: text(value) for name, value in list(pairs.items())[:100]}
    return found


def _add_body(call: N8nCall, data: dict[str, Any], headers: dict[str, Any]) -> None:
    parameters = call.parameters
    kind = text(parameters.get("contentType")) or text(parameters.get("bodyContentType")) or "json"
    rows = objects(mapping(parameters.get("bodyParameters")).get("parameters"))
    rows += objects(mapping(parameters.get("bodyParametersUi")).get("parameter"))
    written = text(parameters.get("jsonBody")) or text(parameters.get("bodyParametersJson"))
    if rows:
        data["body"] = {text(row.get("name")): call.expressions.value(row.get("value")) for row in rows[:200]}
    elif written:
        data["body"] = call.template(written)
    elif text(parameters.get("body")):
        data["body"] = call.template(parameters["body"])
    if kind in _FORMS and "body" in data:
        headers.setdefault("Content-Type", _FORMS[kind])
    elif kind == "raw" and text(parameters.get("rawContentType")):
        headers.setdefault("Content-Type", call.template(parameters["rawContentType"]))


def _send(call: N8nCall, channel: str, to: str, content: dict[str, Any]) -> N8nPart | None:
    """A message to the conversation's contact, or to another recipient over a named channel."""
    if not any(content.values()):
        call.report.add("nothing-to-send")
        return None
    call.scope.data[call.node.name] = NodeData("root", root=f"nodes.{call.node_id}.output")
    data = dict(content)
    if not to.strip() or to.strip() == _CONTACT:
        call.report.add("conversation-recipient")
    else:
        data |= {"channel": channel, "to": to}
        call.report.add("needs-channel", channel=channel)
    data, handles = call.fallible(data)
    return call.add("message", data, *handles)


def whatsapp(call: N8nCall) -> N8nPart | None:
    parameters = call.parameters
    to = call.template(parameters.get("recipientPhoneNumber"))
    if parameters.get("operation") == "sendTemplate":
        name, _, language = text(parameters.get("template")).removeprefix("=").partition("|")
        template = {"name": name, "language": language or "en"} if name else None
        return _send(call, "whatsapp", to, {"template": template})
    kind = text(parameters.get("messageType")) or "text"
    if kind in ("image", "video", "audio", "document"):
        return _send(call, "whatsapp", to, {"media": _media(call, kind, parameters.get("mediaLink"), "mediaCaption")})
    return _send(call, "whatsapp", to, {"text": call.template(parameters.get("textBody")).strip()})


def _media(call: N8nCall, kind: str, url: object, caption_name: str) -> dict[str, str] | None:
    address_of = call.template(url).strip()
    caption = call.template(call.node.part("additionalFields").get(caption_name)).strip()
    if not address_of:
        return None
    return {"kind": kind, "url": address_of, **({"caption": caption} if caption else {})}


def telegram(call: N8nCall) -> N8nPart | None:
    parameters = call.parameters
    operation, to = text(parameters.get("operation")) or "sendMessage", call.template(parameters.get("chatId"))
    files = {"sendPhoto": "image", "sendVideo": "video", "sendAudio": "audio", "sendDocument": "document"}
    if operation in files:
        media = _media(call, files[operation], parameters.get("file"), "caption")
        return _send(call, "telegram", to, {"media": media})
    if operation != "sendMessage":
        call.report.add("unsupported")
        return None
    content: dict[str, Any] = {"text": call.template(parameters.get("text")).strip()}
    mode = text(call.node.part("additionalFields").get("parse_mode"))
    if mode in ("HTML", "MarkdownV2", "Markdown"):
        content["parseMode"] = mode
    buttons = _telegram_buttons(call)
    if buttons and content["text"]:
        content["buttons"] = buttons
    return _send(call, "telegram", to, content) if content["text"] else _send(call, "telegram", to, {})


def _telegram_buttons(call: N8nCall) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for row in objects(call.node.part("inlineKeyboard").get("rows")):
        for button in objects(mapping(row.get("row")).get("buttons")):
            title, more = call.template(button.get("text")).strip(), mapping(button.get("additionalFields"))
            url = call.template(more.get("url")).strip()
            identity = call.template(more.get("callback_data")).strip() or title
            if title and len(found) < 100:
                found.append({"title": title, **({"url": url} if url else {"id": identity})})
    return found


def slack(call: N8nCall) -> N8nPart | None:
    parameters = call.parameters
    if text(parameters.get("resource")) not in ("", "message"):
        call.report.add("unsupported")
        return None
    to = ""
    for name in ("channelId", "user", "channel"):
        value = parameters.get(name)
        to = to or call.template(mapping(value).get("value") if isinstance(value, dict) else value)
    return _send(call, "slack", to, {"text": call.template(parameters.get("text")).strip()})


def email(call: N8nCall) -> N8nPart | None:
    parameters = call.parameters
    to = call.template(parameters.get("toEmail") or parameters.get("sendTo"))
    html = call.template(parameters.get("html")).strip()
    body = call.template(parameters.get("text") or parameters.get("message")).strip()
    if not to.strip() or not (body or html):
        call.report.add("nothing-to-send")
        return None
    data: dict[str, Any] = {"channel": "email", "to": to, "text": body or html}
    subject = call.template(parameters.get("subject")).strip()
    if subject:
        data["subject"] = subject
    if html:
        data["html"] = html
    call.report.add("needs-channel", channel="email")
    data, handles = call.fallible(data)
    return call.add("notify", data, *handles)


OUTGOING: Final[dict[str, Convert]] = {
    "httpRequest": http_request,
    "whatsApp": whatsapp,
    "telegram": telegram,
    "slack": slack,
    "emailSend": email,
    "gmail": email,
}
