"""The canonical form of an address: two addresses of one contact that differ only in how they are written are equal.

An address is compared in its canonical form and is kept, and sent to, as the provider wrote it. What an address means
depends on its medium:

| medium                                                        | addresses are compared                           |
|---------------------------------------------------------------|--------------------------------------------------|
| `whatsapp`, `twilio`                                          | as phone numbers; user ids and names exactly     |
| `email`                                                       | without upper and lower case                     |
| `telegram`, `slack`, `messenger`, `instagram`                 | exactly: an id of digits is not a number         |
| others (`http`, `console`)                                    | as phone numbers if written as one, else exactly |
"""

from typing import Final

from filas.contacts.phone_numbers import is_written_number, number_of

PHONES: Final = frozenset({"whatsapp", "twilio"})
EXACT: Final = frozenset({"telegram", "slack", "messenger", "instagram"})
EMAIL: Final = "email"

_MEDIA: Final = PHONES | EXACT | {EMAIL}


def medium_of(channel: str, channel_type: str | None = None, provider_channel: str | None = None) -> str | None:
    """The medium of an address. None if it is known only by how the address is written.

    `provider_channel` is the usual channel of the provider that reported the address, `channel_type` the type of the
    channel. A channel that does not exist yet, or is of the type `http` or `console`, has the medium that its id names.
    """
    for name in (provider_channel, channel_type, channel):
        if name in _MEDIA:
            return name
    return None


def canonical_address(address: str, medium: str | None = None) -> str:
    """The canonical form of `address`. The canonical form of a canonical form is itself."""
    address = address.strip()
    if medium in EXACT:
        return address
    if medium == EMAIL:
        return address.lower()
    if medium in PHONES or is_written_number(address):
        return number_of(address) or address
    return address


def ordering_address(address: str) -> str:
    """The form of `address` in a group key, for which no medium is needed. Addresses with the same canonical form have
    the same form here; a few others share it too, and then only wait for each other."""
    address = address.strip()
    if "@" in address:
        return number_of(address) or address.lower()
    return number_of(address) or address
