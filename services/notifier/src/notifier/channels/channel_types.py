"""The types of channels. A new one is a module beside this one and a line here."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from filas.contract.channel_circuits import ChannelLimits
from notifier.channels import console, email, http, slack, telegram, twilio, whatsapp
from notifier.channels.channel import Channel, Tools


class ChannelType(msgspec.Struct, frozen=True):
    """`build(config, tools)` gives a channel or raises WrongConfiguration; `secret_fields` are those of `config`
    that are stored as `enc:…` or `env:…` and are revealed before. `limits` are the provider's, unless a channel's
    `rate` and `receiverRate` say otherwise; those two fields never reach `build`."""

    build: Callable[[dict[str, Any], Tools], Channel]
    secret_fields: tuple[str, ...]
    limits: ChannelLimits = ChannelLimits()


CHANNEL_TYPES: Mapping[str, ChannelType] = {
    "console": ChannelType(console.build, console.SECRET_FIELDS),
    "email": ChannelType(email.build, email.SECRET_FIELDS),
    "http": ChannelType(http.build, http.SECRET_FIELDS),
    "slack": ChannelType(slack.build, slack.SECRET_FIELDS, slack.LIMITS),
    "telegram": ChannelType(telegram.build, telegram.SECRET_FIELDS, telegram.LIMITS),
    "twilio": ChannelType(twilio.build, twilio.SECRET_FIELDS),
    "whatsapp": ChannelType(whatsapp.build, whatsapp.SECRET_FIELDS, whatsapp.LIMITS),
}
