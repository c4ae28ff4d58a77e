"""The types of channels. A new one is a module beside this one and a line here."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from notifier.channels import console, http
from notifier.channels.channel import Channel, Tools


class ChannelType(msgspec.Struct, frozen=True):
    """`build(config, tools)` gives a channel or raises WrongConfiguration; `secret_fields` are those of `config`
    that are stored as `enc:…` or `env:…` and are revealed before."""

    build: Callable[[dict[str, Any], Tools], Channel]
    secret_fields: tuple[str, ...]


CHANNEL_TYPES: Mapping[str, ChannelType] = {
    "console": ChannelType(console.build, console.SECRET_FIELDS),
    "http": ChannelType(http.build, http.SECRET_FIELDS),
}
