"""The fields of webhooks, their `auth`, channels and schedules, made from the types that check them."""

import importlib
import re

import msgspec

from filas.contract.channel_circuits import ChannelLimits
from filas.models.configuration import ConversationRule, Dedupe, HandshakeRule, RateLimit, WebhookResponse
from ingest.api.definitions.channel_fields import SECRET_FIELDS, ChannelBody
from ingest.api.definitions.schedule_fields import ScheduleBody
from ingest.api.definitions.webhook_routes import WebhookBody
from ingest.verify.auth_types import CONFIGURATIONS
from tests.reference import struct_fields

SHOWN_ONLY = {
    "id", "revision", "createdAt", "updatedAt", "url", "lastEventAt", "circuit", "delivery", "nextRunAt", "nextRuns",
    "warnings", "lastRunAt", "lastExecutionId", "lastError", "type",
}  # fmt: skip
"""Fields that answers show and that change nothing when they are sent."""

WEBHOOK = {
    "flowId": "the flow that an event starts",
    "nodeId": "the trigger of the flow; by default the flow's only trigger, otherwise `start`",
    "path": "the last part of the address: letters, digits, `.`, `_`, `~` and `-`; by default the webhook's id",
    "methods": "the methods that are accepted; a GET handshake is accepted in any case",
    "auth": "how a sender proves its identity: see [Authentication](#authentication)",
    "rateLimit.max": "the number of requests in one window, 1 to 1,000,000; more are answered 429",
    "rateLimit.windowMs": "the length of the window in milliseconds, 1 to 86,400,000",
    "dedupe": "`null`: the duplicate key of the provider, or none; otherwise exactly one of the three fields below",
    "dedupe.header": "the header whose value is the duplicate key",
    "dedupe.path": "a JMESPath expression that finds the duplicate key in the body",
    "dedupe.body": "`true`: the SHA-256 of the body is the duplicate key",
    "conversation": "how to find the conversation in an event; `null`: the provider's way, or no conversation",
    "conversation.channel": "the id of the channel to answer over, or a template; known for `meta`, `telegram`, "
    "`slack`, `twilio`",
    "conversation.contact": "a template that yields the contact's address: `{{ body.from }}`",
    "conversation.accept": "the kinds of events besides content that start a flow; an edit that does not change the "
    "text is never accepted",
    "conversation.role": "`message`: the events are something that the contact said, and may answer a question; "
    "`event`: they always start the flow; `null`: see [Conversations](#conversations)",
    "conversation.text": "a template that yields the text of the message: `{{ body.text }}`",
    "config": "any JSON object; the event's job carries it",
    "maxBodyBytes": "the largest body, at most 64 MiB; a larger body is answered 413",
    "enabled": "`false`: the webhook answers 404",
    "response": "the answer to an accepted request; `null`: the one that the provider expects, or our JSON",
    "response.status": "200 to 299",
    "response.contentType": "the header `Content-Type`",
    "response.body": "the body, at most 64 KiB of text",
    "response.headers": "further headers",
    "handshake": "a request with a certain query parameter is a handshake, and starts nothing",
    "handshake.query": "the parameter whose value is the answer, as plain text: `validationToken` for Microsoft Graph",
    "filter": "which events start something; see [Filters](#filters)",
    "body": "how bodies are read: `auto` by their content type and content, or always as `json`, `form` or `text`",
    "signedBody": "`decoded`: the signature of a compressed body is over the body before its compression",
    "cors": "the origins of web pages that may send requests: `https://shop.example`",
}

AUTH = {
    "secrets": "the secrets, each literal or `env:NAME`; several are valid at once, for rotation",
    "header": "the header that carries the key or the signature",
    "in": "where the key or token is: a header, a query parameter (it is never stored), or a field of a form or of a "
    "JSON object, which the stored body contains",
    "name": "the name of that header, parameter or field; with `header` it replaces the usual one",
    "prefix": "the text before the signature",
    "algorithm": "the hash of the HMAC",
    "encoding": "how the signature is written",
    "template": "the signed text: `{body}`, `{timestamp}`, `{url}`, `{header:x}`, `{query:x}`, `{form:x}` (a field of "
    "a form or of a JSON object) and `{json:path}`",
    "signature.in": "where the signature is: a header, a query parameter, or a field of a form or of a JSON object",
    "signature.name": "the name of that header, parameter or field",
    "signature.pattern": "how it is written: `ts={timestamp},v1={signature}`; there may be several signatures",
    "coversBody": "`false` states that the sender does not sign the body, so `template` has no `{body}`: anyone who "
    "captures a request can change the body",
    "timestampHeader": "the header that carries the time, in seconds or (from 100,000,000,000 on) milliseconds "
    "since 1970",
    "toleranceSeconds": "how far the time may be from ours; none: any distance",
    "verifyToken": "the token of Meta's challenge; without it no challenge is answered",
    "url": "the public address that Twilio calls, for use where a proxy hides it",
}

CHECKS = {
    "none": "no check: any sender may send a request",
    "basic": "`Authorization: Basic …`; a secret is `user:password`",
    "bearer": "`Authorization: Bearer …`, or the value that `in` and `name` state; a secret is a token",
    "api-key": "the header, or the value that `in` and `name` state, equals a secret",
    "hmac": "an HMAC over the raw body, with a configurable header, prefix, algorithm, encoding and signed text",
    "meta": "WhatsApp, Messenger, Instagram: `X-Hub-Signature-256` with the app secret, and the GET challenge",
    "telegram": "`X-Telegram-Bot-Api-Secret-Token` equals a secret (`secret_token` of `setWebhook`)",
    "slack": "`X-Slack-Signature` with the signing secret, at most 300 s old; `url_verification` is answered",
    "twilio": "`X-Twilio-Signature` with the auth token, over the address and the form, or `bodySHA256`",
    "github": "`X-Hub-Signature-256`; `ping` is answered",
    "stripe": "`Stripe-Signature` with `whsec_…`, at most 300 s from our clock",
    "shopify": "`X-Shopify-Hmac-Sha256` with the client secret",
    "mercadopago": "`x-signature` with the secret signature, at most 300 s old; the body is not signed",
    "mailgun": "`signature` in the body, with the HTTP webhook signing key; the rest of the body is not signed",
    "sendgrid": "`X-Twilio-Email-Event-Webhook-Signature` with the verification key (ECDSA)",
    "hubspot": "`X-HubSpot-Signature-v3` with the client secret, at most 300 s old",
    "pagarme": "basic authentication; a secret is `user:password`",
    "asaas": "`asaas-access-token` equals a secret",
    "kiwify": "the query parameter `signature` with the webhook's token (HMAC-SHA1 of the body)",
    "hotmart": "`X-HOTMART-HOTTOK`, or the field `hottok` (which the stored body contains), equals a secret",
    "standard-webhooks": "`webhook-signature` or `svix-signature` with `whsec_…`, or `whpk_…` for Ed25519, at most "
    "300 s from our clock",
}

DUPLICATE_KEYS = {
    "meta": "the id of each message (`wamid…`, `mid`); id and status of each delivery receipt",
    "telegram": "`update_id`",
    "slack": "`event_id`, or the `trigger_id` of a command or an interaction",
    "twilio": "`I-Twilio-Idempotency-Token`, otherwise `MessageSid` and the status",
    "github": "`X-GitHub-Delivery`",
    "stripe": "`id` (`evt_…`)",
    "shopify": "`X-Shopify-Webhook-Id`",
    "standard-webhooks": "`webhook-id` or `svix-id`",
    "mercadopago": "the `id` of the notification",
    "mailgun": "the id of the event, otherwise the token",
    "sendgrid": "the hash of the body",
    "hubspot": "the hash of the address and the body",
    "pagarme": "`id`",
    "asaas": "`id`",
    "kiwify": "`order_id` and `webhook_event_type`",
    "hotmart": "`id`",
}

CHANNELS = {
    "url": "the address to which each message is posted",
    "secret": "signs each message according to Standard Webhooks: `whsec_` and at least 16 bytes in base64",
    "phoneNumberId": "the id of the sending number, from Meta's app dashboard",
    "accessToken": "a token of Meta's Graph API",
    "apiVersion": "the version of the Graph API",
    "listLabel": "the text of the button that opens a list of choices",
    "botToken": "the bot's token",
    "webhookUrl": "the address of an incoming webhook, instead of a bot's token",
    "accountSid": "the account",
    "authToken": "the account's token",
    "from": "the sender: a number or `whatsapp:+…` (Twilio), an address (e-mail)",
    "messagingServiceSid": "a messaging service, instead of `from`",
    "statusCallback": "the address of a webhook with `auth` `twilio`, to which Twilio reports delivery receipts",
    "host": "the mail server",
    "port": "its port; by default 465 for `tls`, otherwise 587",
    "security": "`tls`: TLS from the first byte; `starttls`: required; `none`: plain text",
    "username": "the user of the mail server; goes with `password`",
    "password": "the user's password",
    "senderName": "the name beside the sender's address",
    "subject": "the subject of messages that have none",
    "caCertificate": "PEM of the authority that signed the server's certificate",
    "baseUrl": "another address than the provider's: a proxy, or a test server",
    "rate": "messages per second over the channel; replaces the provider's limit; 0: no limit",
    "receiverRate": "messages per second to one recipient; replaces the provider's limit; 0: no limit",
    "retry": "how often and how long delivery is tried: `{maxAttempts, delayMs, rate, forMs}`, see [Retries](#retries)",
}

SCHEDULES = {
    "flowId": "the flow that starts",
    "version": "the version that starts; by default the one that is published at the tick",
    "cron": "five fields, or six with seconds first; exactly one of `cron`, `every` and `at` is given",
    "every.seconds": "the number of seconds from tick to tick, instead of `cron`",
    "every.minutes": "the number of minutes; exactly one unit is given",
    "every.hours": "the number of hours",
    "every.days": "the number of days, by the calendar of `timezone`",
    "every.weeks": "the number of weeks, by the calendar of `timezone`",
    "timezone": "the IANA time zone of `cron` and `every`",
    "at": "up to 1,000 times in ISO 8601 with an offset",
    "startsAt": "the first moment of a tick",
    "endsAt": "the last moment of a tick",
    "enabled": "`false`: no ticks; ticks that are missed meanwhile are not made up for",
    "input": "the flow's `webhook.body`; at most 64 KiB of JSON",
    "conversation.channel": "the channel of the conversation, for flows that send to a contact",
    "conversation.contact": "the contact of the conversation",
    "misfire": "what happens with missed ticks: `run-once` runs once for all of them, `skip` omits them, `catch-up` "
    "runs each",
    "misfireGraceMs": "a tick that is later than this is missed",
    "catchUpLimit": "the largest number of missed ticks that `catch-up` runs at once; older ticks are omitted",
}


def webhook_table() -> str:
    """Every field of a webhook's definition."""
    parts: dict[str, type[msgspec.Struct]] = {
        "rate_limit": RateLimit, "dedupe": Dedupe, "conversation": ConversationRule,
        "response": WebhookResponse, "handshake": HandshakeRule,
    }  # fmt: skip
    lines = _head()
    for field in msgspec.structs.fields(WebhookBody):
        name = field.encode_name
        if name in SHOWN_ONLY:
            continue
        part = parts.get(field.name)
        if field.name != "rate_limit":
            default = struct_fields.default_of(field)
            if default == "" and part:
                default = "`null`"
            if name == "auth":
                default = '`{"type":"none"}`'
            if name == "maxBodyBytes":
                default = "`1048576` (1 MiB)"
            takes = "object or null" if part else struct_fields.takes(field.type)
            lines.append(_line(name, takes, default, WEBHOOK))
        for row in struct_fields.rows("", part, None, f"{name}.") if part else ():
            lines.append(_line(row.field, row.takes, row.default, WEBHOOK))
    return "\n".join(lines) + "\n"


def auth_table() -> str:
    """Every type of `auth` with its fields."""
    lines = ["| `auth.type` | check | fields, with defaults | duplicate key |", "|---|---|---|---|"]
    for name, configuration in CONFIGURATIONS.items():
        fields = []
        for row in struct_fields.rows("", configuration):
            if row.field != "type":
                default = "required" if row.default is None else row.default
                fields.append(f"`{row.field}`" + (f" ({default})" if default else ""))
        key = DUPLICATE_KEYS.get(name, "as `dedupe` states")
        lines.append(f"| `{name}` | {CHECKS[name]} | {', '.join(fields)} | {key} |")
    return "\n".join(lines) + "\n"


def auth_fields_table() -> str:
    """The meaning of every field of `auth`."""
    found: dict[str, str] = {}
    for configuration in CONFIGURATIONS.values():
        for row in struct_fields.rows("", configuration):
            if row.field != "type":
                found.setdefault(row.field, row.takes)
    lines = ["| field | takes | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {takes} | {AUTH[name]} |" for name, takes in found.items()]
    return "\n".join(lines) + "\n"


def channel_table(name: str) -> str:
    """The fields of one type of channel; secret fields are marked."""
    secrets, defaults = SECRET_FIELDS.get(name, ()), channel_defaults(name)
    lines = _head()
    fields = [
        field
        for field in msgspec.structs.fields(channel_types()[name])
        if field.encode_name not in SHOWN_ONLY - {"url"}
    ]
    for field in sorted(fields, key=lambda field: field.encode_name in ("rate", "receiverRate", "retry")):
        takes = struct_fields.takes(field.type) + (" (secret)" if field.encode_name in secrets else "")
        default = struct_fields.default_of(field) or defaults.get(field.encode_name)
        lines.append(_line(field.encode_name, takes, None if field.required else default or "", CHANNELS))
    return "\n".join(lines) + "\n"


def channel_defaults(name: str) -> dict[str, str]:
    """The defaults that the notifier's module of the type has for fields that a definition omits."""
    module = importlib.import_module(f"notifier.channels.{name}")
    limits: ChannelLimits = getattr(module, "RATES", ChannelLimits())
    found = {"rate": f"`{limits.per_second:g}`", "receiverRate": f"`{limits.per_recipient:g}`"}
    for config in vars(module).values():
        if isinstance(config, type) and issubclass(config, msgspec.Struct) and config.__module__ == module.__name__:
            for field in msgspec.structs.fields(config):
                default = struct_fields.default_of(field)
                if default:
                    found[field.encode_name] = default
    return found


def channel_types() -> dict[str, type[msgspec.Struct]]:
    """Every type of channel with its body."""
    bodies = {str(body.__struct_config__.tag): body for body in ChannelBody.__args__}
    return dict(sorted(bodies.items()))


def schedule_table() -> str:
    """Every field of a schedule."""
    lines = _head()
    for row in struct_fields.rows("", ScheduleBody):
        if re.split(r"[.\[]", row.field)[0] not in SHOWN_ONLY:
            lines.append(_line(row.field, row.takes, row.default, SCHEDULES))
    return "\n".join(lines) + "\n"


def _head() -> list[str]:
    return ["| field | takes | default | meaning |", "|---|---|---|---|"]


def _line(name: str, takes: str, default: str | None, meanings: dict[str, str]) -> str:
    return f"| `{name}` | {takes} | {'required' if default is None else default} | {meanings[name]} |"
