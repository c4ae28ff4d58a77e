"""The protocol of channels: a channel sends a message and returns the result."""

import socket
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

from filas.errors import NewerVersionRequired, PermanentError
from filas.outbound.outbound_response import OutboundResponse


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one recipient.

    `content` has the same form for every channel: `{"type":"text","text":…}` and so on (see `message_content`).
    `idempotency_key` is the same for every attempt.
    """

    id: UUID
    to: str
    content: Mapping[str, Any]
    idempotency_key: str
    execution_id: UUID | None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The provider accepted the message. `confirmed` False: a delivery receipt will report whether it arrived.

    `addresses` are others that the provider states for the recipient. `sends_to` is the one of them that it uses.
    """

    provider_id: str | None = None
    confirmed: bool = True
    status_code: int | None = None
    addresses: tuple[str, ...] = ()
    sends_to: str | None = None


class TemporaryFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The message was not sent, and may be tried again. `after_s` is the delay in seconds that the provider asks for.

    `kind` is a stable word, `reason` a sentence without secrets. `uncertain`: the message may have arrived.
    `wait_for`: the channel or this recipient is busy. The wait for either uses no attempt.
    """

    reason: str
    kind: str
    after_s: float | None = None
    wait_for: Literal["none", "recipient", "channel"] = "none"
    uncertain: bool = False
    status_code: int | None = None


class PermanentFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The message cannot be delivered, and another attempt would not help. The fields are those of TemporaryFailure."""

    reason: str
    kind: str
    uncertain: bool = False
    status_code: int | None = None


Result = Delivered | TemporaryFailure | PermanentFailure


class Channel(Protocol):
    """A configured channel."""

    async def deliver(self, message: OutgoingMessage) -> Result:
        """Sends the message once and returns the result. An exception is a fault of our own code.

        It must return in less than the job's timeout, whatever the provider does.
        """


class Outbound(Protocol):
    """The part of the guarded HTTP client that channels use (`filas.outbound.client.OutboundClient`)."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_bytes: int,
        follow_redirects: bool,
        truncate: bool,
    ) -> OutboundResponse:
        """Raises OutboundRefused, or an OutboundError."""


class Tools(msgspec.Struct, frozen=True):
    """What the process provides to its channels. `print_line` writes one line to the output of the process.
    `open_socket` is for channels that do not use HTTP."""

    outbound: Outbound
    print_line: "PrintLine"
    open_socket: "OpenSocket"


class OpenSocket(Protocol):
    """Connects through the outbound guard (`filas.outbound.client.OutboundClient.open_socket`)."""

    async def __call__(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """Raises OutboundRefused, or an OutboundError."""


class PrintLine(Protocol):
    """Writes a line, given without its line break. Raises OSError if the output is closed."""

    def __call__(self, line: str, /) -> None: ...


class InvalidConfiguration(PermanentError):
    """The configuration of a channel is invalid. The message names the field and never contains its value."""


class ConfigurationOfNewerVersion(NewerVersionRequired):
    """The configuration of a channel has a value that this version does not know."""


_UNKNOWN_VALUE = "Invalid enum value"

Config = TypeVar("Config")


def configuration(config: dict[str, Any], type_: type[Config]) -> Config:
    """Converts `config` to the configuration type of the channel. Raises InvalidConfiguration, and
    ConfigurationOfNewerVersion for a value of an enumeration that this version does not know."""
    try:
        return msgspec.convert(config, type_)
    except msgspec.ValidationError as error:
        if str(error).startswith(_UNKNOWN_VALUE):
            raise ConfigurationOfNewerVersion(str(error)) from None
        raise InvalidConfiguration(str(error)) from None
