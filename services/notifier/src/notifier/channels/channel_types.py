"""The types of channels. A new type is a module in this package and a line in this table."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from filas.contract.channel_circuits import ChannelLimits
from notifier.channels import console, email, http, slack, telegram, twilio, whatsapp
from notifier.channels.channel import Channel, Tools


class ChannelType(msgspec.Struct, frozen=True):
    """A type of channel.

    `build(config, tools)` returns a channel or raises InvalidConfiguration. `secret_fields` are the fields of `config`
    that are stored as `enc:…` or `env:…` and decrypted before. `limits` are the provider's; a channel's fields `rate`
    and `receiverRate` override them and are not passed to `build`.
    """

    build: Callable[[dict[str, Any], Tools], Channel]
    secret_fields: tuple[str, ...]
    limits: ChannelLimits = ChannelLimits()


CHANNEL_TYPES: Mapping[str, ChannelType] = {
    "console": ChannelType(console.build, console.SECRET_FIELDS),
    "email": ChannelType(email.build, email.SECRET_FIELDS),
    "http": ChannelType(http.build, http.SECRET_FIELDS),
    "slack": ChannelType(slack.build, slack.SECRET_FIELDS, slack.RATES),
    "telegram": ChannelType(telegram.build, telegram.SECRET_FIELDS, telegram.RATES),
    "twilio": ChannelType(twilio.build, twilio.SECRET_FIELDS),
    "whatsapp": ChannelType(whatsapp.build, whatsapp.SECRET_FIELDS, whatsapp.RATES),
}
