"""What a channel is: it is given a message, and says what became of it."""

import socket
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

from filas.errors import PermanentError


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one receiver.

    `content` is neutral as to the channel: `{"type":"text","text":…}` and so on. `idempotency_key` is the
    same for every try of the message.
    """

    id: UUID
    to: str
    content: Mapping[str, Any]
    idempotency_key: str
    execution_id: UUID | None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The other side has it. `confirmed` False: it only took it, and says later whether it arrived."""

    provider_id: str | None = None
    confirmed: bool = True
    status_code: int | None = None


class TryAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Not now. `after_s` is when the other side wants it again, None if it doesn't say.

    `kind` is a stable word, `reason` a sentence without secrets. `uncertain`: it may have arrived all the same.
    `wait_for`: the whole destination is busy, or this receiver has had enough for now; either uses up no try.
    """

    reason: str
    kind: str
    after_s: float | None = None
    wait_for: Literal["nobody", "receiver", "destination"] = "nobody"
    uncertain: bool = False
    status_code: int | None = None


class Never(msgspec.Struct, frozen=True, kw_only=True):
    """It can't be delivered however often it is tried; `kind` and `reason` as in TryAgain.

    `uncertain`: it may have arrived all the same.
    """

    reason: str
    kind: str
    uncertain: bool = False
    status_code: int | None = None


Result = Delivered | TryAgain | Never


class Channel(Protocol):
    """A channel with its configuration."""

    async def deliver(self, message: OutgoingMessage) -> Result:
        """Send the message, once, and say what became of it. Raises only what is a bug of ours.

        It must end by itself in less than the job's time-out, whatever the other side does.
        """


class Answer(Protocol):
    """What a channel reads of an HTTP answer. `headers` have lower-case names."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


class Outbound(Protocol):
    """The guarded HTTP client, as far as channels use it (`filas.outbound.OutboundClient`)."""

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
    ) -> Answer:
        """Raises OutboundRefused, or an OutboundError."""


class Tools(msgspec.Struct, frozen=True):
    """What the process lends its channels. `print_line` writes one line where its owner can read it;
    `open_socket` is for the channels that don't speak HTTP."""

    outbound: Outbound
    print_line: "PrintLine"
    open_socket: "OpenSocket"


class OpenSocket(Protocol):
    """Connects to the outside, if the guard lets it (`filas.outbound.OutboundClient.open_socket`)."""

    async def __call__(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """Raises OutboundRefused, or an OutboundError."""


class PrintLine(Protocol):
    """Writes a line without its end. Raises OSError when nobody takes it."""

    def __call__(self, line: str, /) -> None: ...


class WrongConfiguration(PermanentError):
    """A channel's configuration is not what its type needs. The message names the field, never its value."""


Config = TypeVar("Config")


def configuration(config: dict[str, Any], type_: type[Config]) -> Config:
    """`config` as the channel's type has it. Raises WrongConfiguration."""
    try:
        return msgspec.convert(config, type_)
    except msgspec.ValidationError as error:
        raise WrongConfiguration(str(error)) from None
