"""The providers whose bodies Filas can read, by `auth.type`. A new provider needs a module and one line here."""

from ingest.providers.message import Provider
from ingest.providers.meta.reader import Meta
from ingest.providers.slack import Slack
from ingest.providers.telegram import Telegram
from ingest.providers.twilio import Twilio

PROVIDERS: dict[str, Provider] = {
    "meta": Meta(),
    "telegram": Telegram(),
    "slack": Slack(),
    "twilio": Twilio(),
}

AUTH_TYPES: frozenset[str] = frozenset(PROVIDERS) | {
    "none",
    "basic",
    "bearer",
    "api-key",
    "hmac",
    "github",
    "stripe",
    "shopify",
    "standard-webhooks",
    "mercadopago",
    "mailgun",
    "sendgrid",
    "hubspot",
    "pagarme",
    "asaas",
    "kiwify",
    "hotmart",
}
"""Every `auth.type` that this version knows. The worker must not import the signature checks to learn them."""
