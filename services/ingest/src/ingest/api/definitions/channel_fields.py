"""The types of channels: the fields of each, and the checks that the types alone cannot express.

The notifier has a module for each type; its tests compare the two lists.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from filas.contract.channel_circuits import CircuitStatus
from filas.contract.channel_retry import ChannelRetry
from filas.models.record import ErrorDetail
from ingest.api.definitions.secret_masking import MASK, names_variable
from ingest.api.routing.identifiers import Identifier
from ingest.api.routing.problems import FieldError, InvalidFields, invalid, invalid_field
from ingest.api.routing.route_types import Body

Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Secret = Annotated[str, Meta(min_length=1, max_length=4096, description="The secret, `env:NAME`, or `***`: no change.")]
Short = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+(?!\n)$", max_length=256)]
Rate = Annotated[float, Meta(ge=0, le=10_000, description="Messages per second; 0: no limit.")]
Segment = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}(?!\n)$")]
_BOT_TOKEN = re.compile(r"[A-Za-z0-9._~:-]+")


class ChannelDelivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The messages of a channel: how many wait, since when the oldest does, how many failed in the last day, and the
    newest error, of a message that failed or is tried again."""

    waiting: int = 0
    waiting_since: datetime | None = None
    failed: int = 0
    failed_at: datetime | None = None
    error: ErrorDetail | None = None


class _Channel(Body, frozen=True, kw_only=True):
    """The fields of every channel. `rate` and `receiverRate` replace the usual limits of the provider, `retry` the
    attempts of the queue.

    The fields that an answer adds (`id`, `revision`, `createdAt`, `updatedAt`, `circuit`, `delivery`) are accepted and
    ignored.
    """

    rate: Rate | None = None
    receiver_rate: Rate | None = None
    retry: ChannelRetry | None = None
    id: Identifier | None = None
    revision: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    circuit: CircuitStatus | None = None
    delivery: ChannelDelivery | None = None


class HttpChannel(_Channel, frozen=True, kw_only=True, tag="http", tag_field="type"):
    """Each message is a POST to `url`, signed by Standard Webhooks with `secret` (`whsec_…` or `env:NAME`)."""

    url: Url
    secret: Annotated[str, Meta(max_length=1024)]


class ConsoleChannel(_Channel, frozen=True, kw_only=True, tag="console", tag_field="type"):
    """Each message is written to the log of the notifier."""


class WhatsAppChannel(_Channel, frozen=True, kw_only=True, tag="whatsapp", tag_field="type"):
    """WhatsApp's Cloud API. `listLabel` is the label of the button that opens a list of choices."""

    phone_number_id: Segment
    access_token: Secret
    base_url: Url | None = None
    api_version: Segment | None = None
    list_label: Annotated[str, Meta(min_length=1, max_length=20)] | None = None


class TelegramChannel(_Channel, frozen=True, kw_only=True, tag="telegram", tag_field="type"):
    """Telegram's Bot API."""

    bot_token: Secret
    base_url: Url | None = None


class SlackChannel(_Channel, frozen=True, kw_only=True, tag="slack", tag_field="type"):
    """Slack: the token of a bot, or the address of an incoming webhook (which is a secret)."""

    bot_token: Secret | None = None
    webhook_url: Secret | None = None
    base_url: Url | None = None


class TwilioChannel(_Channel, frozen=True, kw_only=True, tag="twilio", tag_field="type"):
    """Twilio's messages: `from` is a number (or `whatsapp:+…`); or a messaging service."""

    account_sid: Segment
    auth_token: Secret
    sender: Short | None = msgspec.field(default=None, name="from")
    messaging_service_sid: Segment | None = None
    status_callback: Url | None = None
    base_url: Url | None = None


class EmailChannel(_Channel, frozen=True, kw_only=True, tag="email", tag_field="type"):
    """SMTP.

    `security`: TLS from the first byte, STARTTLS (required), or none. `caCertificate`: the PEM of a private
    certificate authority. `subject` is the subject of messages without one.
    """

    host: Segment
    sender: Short = msgspec.field(name="from")
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    security: Literal["tls", "starttls", "none"] | None = None
    username: Short | None = None
    password: Secret | None = None
    sender_name: Short | None = None
    subject: Short | None = None
    ca_certificate: Annotated[str, Meta(max_length=65536)] | None = None


ChannelBody = (
    ConsoleChannel | EmailChannel | HttpChannel | SlackChannel | TelegramChannel | TwilioChannel | WhatsAppChannel
)
TYPES = ("console", "email", "http", "slack", "telegram", "twilio", "whatsapp")
SECRET_FIELDS: dict[str, tuple[str, ...]] = {
    "email": ("password",),
    "http": ("secret",),
    "slack": ("botToken", "webhookUrl"),
    "telegram": ("botToken",),
    "twilio": ("authToken",),
    "whatsapp": ("accessToken",),
}
SHOWN_FIELDS = frozenset({"id", "type", "revision", "createdAt", "updatedAt", "circuit", "delivery"})


def check(channel: ChannelBody) -> None:
    """Raises the 422 that lists every wrong field."""
    errors: list[FieldError] = []
    for further in (_check_addresses, *_CHECKS.get(type(channel), ())):
        try:
            further(channel)
        except InvalidFields as problem:
            errors += problem.errors
    if errors:
        raise invalid(errors)


def _check_addresses(channel: ChannelBody) -> None:
    errors: list[FieldError] = []
    for field in ("url", "base_url", "status_callback"):
        address = getattr(channel, field, None)
        if address is not None:
            try:
                check_address(address, _WIRE_NAMES.get(field, field))
            except InvalidFields as problem:
                errors += problem.errors
    if errors:
        raise invalid(errors)


def check_address(url: str, field: str) -> None:
    """Raises the 422 for `field` unless `url` is a complete http or https address without credentials."""
    try:
        address = urlsplit(url)
        complete = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        complete = False
    if not complete or not url.isprintable() or " " in url:
        raise invalid_field(field, "not an absolute http or https address, such as https://example.com/messages")
    if address.username is not None or address.password is not None:
        raise invalid_field(field, "must not contain a user name or password: secrets have fields of their own")


def _check_http(channel: HttpChannel) -> None:
    if channel.secret == MASK or names_variable(channel.secret):
        return
    try:
        key = base64.b64decode(channel.secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not channel.secret.startswith("whsec_") or len(key) < 16:
        raise invalid_field("secret", "not `whsec_` followed by at least 16 bytes in base64, and not `env:NAME`")


def _check_slack(channel: SlackChannel) -> None:
    if (channel.bot_token is None) == (channel.webhook_url is None):
        raise invalid_field("botToken", "give either `botToken` or `webhookUrl`")
    url = channel.webhook_url
    if url is not None and url != MASK and not names_variable(url):
        check_address(url, "webhookUrl")


def _check_telegram(channel: TelegramChannel) -> None:
    token = channel.bot_token
    if token != MASK and not names_variable(token) and not _BOT_TOKEN.fullmatch(token):
        raise invalid_field("botToken", "not a bot token: it has letters, digits, `:`, `_` and `-`")


def _check_twilio(channel: TwilioChannel) -> None:
    if (channel.sender is None) == (channel.messaging_service_sid is None):
        raise invalid_field("from", "give either `from` or `messagingServiceSid`")


def _check_sender(channel: EmailChannel) -> None:
    local, at, domain = channel.sender.rpartition("@")
    if not (local and at and domain and channel.sender.isascii()) or set(channel.sender) & set(' ,;:<>()[]"\\'):
        raise invalid_field("from", "not an e-mail address")


def _check_login(channel: EmailChannel) -> None:
    if (channel.username is None) != (channel.password is None):
        raise invalid_field("password", "give both `username` and `password`, or neither")


_WIRE_NAMES = {"base_url": "baseUrl", "status_callback": "statusCallback"}
_CHECKS: Mapping[type, tuple[Callable[[Any], None], ...]] = {
    HttpChannel: (_check_http,),
    SlackChannel: (_check_slack,),
    TelegramChannel: (_check_telegram,),
    TwilioChannel: (_check_twilio,),
    EmailChannel: (_check_sender, _check_login),
}
