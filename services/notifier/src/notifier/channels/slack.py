"""The channel `slack`: the web API's `chat.postMessage` with a bot's token, or an incoming webhook.

The web API answers a refused message with 200 and `{"ok":false,"error":…}`, a webhook with 4xx and a word as text. Both
answer 429 with `Retry-After` above about one message per second.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from filas.channels import text_escapes
from filas.channels.content_checks import shown_as_list
from filas.channels.content_limits import LIMITS
from filas.channels.invalid_content import InvalidContent
from filas.contract.channel_circuits import ChannelLimits
from filas.contract.storable_text import json_bytes
from filas.outbound.outbound_response import OutboundResponse
from notifier.channels.channel import (
    Delivered,
    InvalidConfiguration,
    Outbound,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
    configuration,
)
from notifier.channels.message_content import (
    Section,
    buttons_of,
    kind_of,
    media_of,
    sections_of,
    sendable,
    text_of,
    thread_of,
)
from notifier.channels.provider_call import BUSY, Caller, busy, by_status, json_object, malformed

SECRET_FIELDS = ("botToken", "webhookUrl")
RATES = ChannelLimits(per_second=1.0)

LIMITS_OF_CONTENT = LIMITS["slack"]
MAX_ALT_TEXT = 2000

_BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable"})
_AGAIN = frozenset({"request_timeout", "team_added_to_org", "rollup_error"})
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})
"""Slack documents that the message may have been sent although it answers with one of these."""

_CREDENTIALS = frozenset(
    {
        "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission",
        "missing_scope", "not_allowed_token_type", "ekm_access_denied", "org_login_required", "access_denied",
        "accesslimited", "team_access_not_granted", "two_factor_setup_required", "enterprise_is_restricted",
        "no_service", "no_service_id", "no_active_hooks", "invalid_token", "no_team", "team_disabled",
        "team_not_found",
    }
)  # fmt: skip
_RECIPIENT = frozenset(
    {
        "channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "user_not_found",
        "channel_type_not_supported", "restricted_action", "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel", "restricted_action_thread_locked", "cannot_dm_bot",
        "messages_tab_disabled", "posting_to_general_channel_denied", "action_prohibited", "user_is_restricted",
    }
)  # fmt: skip


class SlackConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Exactly one of `bot_token` and `webhook_url` is set. A webhook posts to its own channel, for any recipient."""

    bot_token: str | None = None
    webhook_url: str | None = None
    base_url: str = "https://slack.com"


class SlackChannel:
    """Sends text, images and buttons; other media as links. Slack has no templates and no delivery receipts."""

    def __init__(self, config: SlackConfig, outbound: Outbound) -> None:
        if (config.bot_token is None) == (config.webhook_url is None):
            raise InvalidConfiguration("needs one of `botToken` and `webhookUrl`")
        self._token = config.bot_token
        self._url = config.webhook_url or f"{config.base_url.rstrip('/')}/api/chat.postMessage"
        self._caller = Caller(outbound, [config.bot_token or "", *_secrets_of(config.webhook_url)])

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        try:
            document = _document(message.content)
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self._token is not None:
            document["channel"] = message.to
            document |= thread_of(message.content, {"threadTs": "thread_ts"})
            headers["Authorization"] = f"Bearer {self._token}"
        answer = await self._caller.post(self._url, headers, json_bytes(document))
        if isinstance(answer, TemporaryFailure | PermanentFailure):
            return answer
        if answer.status in BUSY:
            return by_status(answer, self._caller.answered(answer, "Slack"), "busy")
        return self._of_webhook(answer) if self._token is None else self._of_api(answer)

    def _of_api(self, answer: OutboundResponse) -> Result:
        decoded = json_object(answer)
        if decoded is None or not isinstance(decoded.get("ok"), bool):
            return (
                malformed(answer, "Slack")
                if answer.status == 200
                else by_status(answer, self._caller.answered(answer, "Slack"))
            )
        if decoded["ok"]:
            ts = decoded.get("ts")
            provider_id = f"{decoded.get('channel') or ''}:{ts}" if ts else None
            return Delivered(provider_id=provider_id, status_code=answer.status)
        word = decoded.get("error")
        return self._refused(answer, word if isinstance(word, str) else "no error", *_explanation(decoded))

    def _of_webhook(self, answer: OutboundResponse) -> Result:
        word = answer.body.decode("utf-8", "replace").strip()
        if answer.status == 200:
            return Delivered(status_code=200) if word == "ok" else malformed(answer, "Slack")
        word, _, details = word.partition(":")
        if answer.status >= 500 or not word.replace("_", "").isalnum():
            return by_status(answer, self._caller.answered(answer, "Slack"))
        return self._refused(answer, word, details)

    def _refused(self, answer: OutboundResponse, word: str, *details: Any) -> Result:
        reason = self._caller.explained(f"Slack answered {word[:200]}", *details)
        status = answer.status
        if word in _BUSY:
            return busy(answer, reason)
        if word in _AGAIN or word in _PERHAPS_DONE:
            return TemporaryFailure(reason=reason, kind="provider", uncertain=word in _PERHAPS_DONE, status_code=status)
        kind = "credentials" if word in _CREDENTIALS else "recipient" if word in _RECIPIENT else "rejected"
        return PermanentFailure(reason=reason, kind=kind, status_code=status)


def build(config: dict[str, Any], tools: Tools) -> SlackChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    return SlackChannel(configuration(config, SlackConfig), tools.outbound)


def _secrets_of(webhook_url: str | None) -> list[str]:
    """Returns the address of the webhook and its path, which contains the secret."""
    try:
        path = urlsplit(webhook_url or "").path
    except ValueError:
        raise InvalidConfiguration("`webhookUrl` is not a URL") from None
    return [webhook_url or "", path if len(path) > 1 else ""]


def _explanation(decoded: dict[str, Any]) -> list[Any]:
    """Returns what Slack answers besides the error's name: `response_metadata.messages`, `errors`, and the scopes."""
    metadata = decoded.get("response_metadata")
    found = [metadata.get("messages") if isinstance(metadata, dict) else None, decoded.get("errors")]
    for field in ("needed", "provided", "warning", "detail"):
        if isinstance(decoded.get(field), str):
            found.append(f"{field}: {decoded[field]}")
    return found


def _document(content: Mapping[str, Any]) -> dict[str, Any]:
    content = sendable(content, "slack")
    kind = kind_of(content)
    if kind == "text":
        return {"text": text_of(content)}
    if kind == "media":
        return _media(content)
    if kind in ("buttons", "list"):
        return _choices(content)
    raise InvalidContent(f"Slack cannot send the type {kind!r}")


def _media(content: Mapping[str, Any]) -> dict[str, Any]:
    media = media_of(content)
    # In a text, an address such as `https://x/<!channel>` would notify the channel.
    link = text_escapes.slack(media.url)
    if media.kind not in ("image", "sticker"):
        return {"text": f"{media.caption}\n{link}" if media.caption else link}
    caption = text_escapes.unescaped_slack(media.caption)
    image: dict[str, Any] = {
        "type": "image",
        "image_url": media.url,
        "alt_text": (caption or media.kind)[:MAX_ALT_TEXT],
    }
    if caption:
        image["title"] = _plain(caption)
    return {"text": media.caption or link, "blocks": [image]}


def _choices(content: Mapping[str, Any]) -> dict[str, Any]:
    text = text_of(content)
    blocks: list[dict[str, Any]] = []
    if content.get("header"):
        blocks.append({"type": "header", "text": _plain(str(content["header"]))})
    blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    elements = [_select(content)] if shown_as_list(content, LIMITS_OF_CONTENT) else _buttons(content)
    return {"text": text, "blocks": [*blocks, {"type": "actions", "elements": elements}]}


def _buttons(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "type": "button",
            "action_id": f"choice-{number}",
            "text": _plain(button.title),
            **({"url": button.url} if button.url else {"value": button.id}),
        }
        for number, button in enumerate(buttons_of(content))
    ]


def _select(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the menu of a list, with a group for each section that has a title."""
    sections = sections_of(content)
    menu: dict[str, Any] = {"type": "static_select", "action_id": "choice"}
    if content.get("label"):
        menu["placeholder"] = _plain(str(content["label"]))
    if sections[0].title:
        groups = [{"label": _plain(one.title), "options": _options(one)} for one in sections]
        return menu | {"option_groups": groups}
    return menu | {"options": _options(sections[0])}


def _options(section: Section) -> list[dict[str, Any]]:
    return [
        {
            "text": _plain(row.title),
            "value": row.id,
            **({"description": _plain(row.description)} if row.description else {}),
        }
        for row in section.rows
    ]


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}
