"""Every authentication scheme, by its `auth.type`. A new scheme needs a module and one line here."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ingest.verify.api_key import ApiKeyAuth
from ingest.verify.basic import BasicAuth
from ingest.verify.bearer import BearerAuth
from ingest.verify.github import GithubAuth
from ingest.verify.hmac_signature import HmacAuth
from ingest.verify.meta import MetaAuth
from ingest.verify.none import NoAuth
from ingest.verify.presets.hubspot import HubspotAuth
from ingest.verify.presets.kiwify import KiwifyAuth
from ingest.verify.presets.mailgun import MailgunAuth
from ingest.verify.presets.mercadopago import MercadoPagoAuth
from ingest.verify.presets.sendgrid import SendgridAuth
from ingest.verify.presets.tokens import AsaasAuth, HotmartAuth, PagarmeAuth
from ingest.verify.scheme import Configuration
from ingest.verify.shopify import ShopifyAuth
from ingest.verify.slack import SlackAuth
from ingest.verify.standard_webhooks import StandardWebhooksAuth
from ingest.verify.stripe import StripeAuth
from ingest.verify.telegram import TelegramAuth
from ingest.verify.twilio import TwilioAuth

CONFIGURATIONS: dict[str, type[Any]] = {
    "none": NoAuth,
    "basic": BasicAuth,
    "bearer": BearerAuth,
    "api-key": ApiKeyAuth,
    "hmac": HmacAuth,
    "meta": MetaAuth,
    "telegram": TelegramAuth,
    "slack": SlackAuth,
    "twilio": TwilioAuth,
    "github": GithubAuth,
    "stripe": StripeAuth,
    "shopify": ShopifyAuth,
    "standard-webhooks": StandardWebhooksAuth,
    "mercadopago": MercadoPagoAuth,
    "mailgun": MailgunAuth,
    "sendgrid": SendgridAuth,
    "hubspot": HubspotAuth,
    "pagarme": PagarmeAuth,
    "asaas": AsaasAuth,
    "kiwify": KiwifyAuth,
    "hotmart": HotmartAuth,
}

SIGNATURE_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "x-hub-signature",
        "x-hub-signature-256",
        "x-telegram-bot-api-secret-token",
        "x-slack-signature",
        "x-twilio-signature",
        "stripe-signature",
        "x-shopify-hmac-sha256",
        "webhook-signature",
        "svix-signature",
    }
)
"""Headers that carry secrets or signatures by convention. They are never stored and never part of a job."""


def configuration(auth: Mapping[str, Any]) -> Configuration:
    """The decoded `auth` of a webhook. Raises msgspec.ValidationError, which names the field, if it is invalid."""
    kind = auth.get("type")
    decoded = CONFIGURATIONS.get(kind) if isinstance(kind, str) else None
    if decoded is None:
        raise msgspec.ValidationError(f"Expected one of {', '.join(CONFIGURATIONS)} - at `$.type`")
    return cast("Configuration", msgspec.convert(dict(auth), decoded))
