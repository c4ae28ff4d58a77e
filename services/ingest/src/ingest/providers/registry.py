"""The providers whose bodies say who wrote what, by `auth.type`. A new one is its module and one line here."""

from ingest.providers.message import Provider
from ingest.providers.meta import Meta

PROVIDERS: dict[str, Provider] = {
    "meta": Meta(),
}
