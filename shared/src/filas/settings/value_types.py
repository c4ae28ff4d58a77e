"""The types of settings that are not a number or a text, and how they are written."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


class Secret:
    """A text that is not shown: `repr`, `str` and f-strings return `***`. `reveal()` returns the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the text, for the one place that uses it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Networks(tuple[Network, ...]):
    """IP networks, written `10.0.0.0/8,::1/128`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


class Ports(tuple[int, ...]):
    """TCP ports, written `443,8443`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


class Addresses(tuple[tuple[str, int], ...]):
    """Hosts with ports, written `host-a:26379,host-b:26379`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(f"{host}:{port}" for host, port in self)


class HostNames(tuple[str, ...]):
    """Names of hosts in lower case, written `localhost,filas.internal`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(self)


class NamePatterns(tuple[str, ...]):
    """Patterns (`fnmatch`) of names of environment variables, written `SECRET_*,STRIPE_KEY`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(self)


class Recipients(tuple[tuple[str, str], ...]):
    """Channels with a recipient each, written `email:ops@example.com,slack:#ops`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(f"{channel}:{to}" for channel, to in self)


def decode(kind: type, text: object) -> object:
    """Converts `text` to one of these types (the `dec_hook` of msgspec). Raises ValueError for an invalid text."""
    read = _READERS.get(kind)
    if read is None:
        raise NotImplementedError(kind)
    return read(str(text))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port


def _host_name(text: str) -> str:
    if not re.fullmatch(r"\*|[A-Za-z0-9._-]+", text):
        raise ValueError(text)
    return text.lower()


def _name_pattern(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_*?]+", text):
        raise ValueError(text)
    return text


def _recipient(text: str) -> tuple[str, str]:
    channel, colon, to = text.partition(":")
    if not channel.strip() or not colon or not to.strip():
        raise ValueError(text)
    return channel.strip(), to.strip()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not host or not colon:
        raise ValueError(text)
    return host.strip("[]"), _port(port)


_READERS: dict[type, Callable[[str], object]] = {
    Secret: Secret,
    Networks: lambda text: Networks(tuple(ip_network(part) for part in _parts(text))),
    Ports: lambda text: Ports(tuple(_port(part) for part in _parts(text))),
    Addresses: lambda text: Addresses(tuple(_address(part) for part in _parts(text))),
    HostNames: lambda text: HostNames(tuple(_host_name(part) for part in _parts(text))),
    NamePatterns: lambda text: NamePatterns(tuple(_name_pattern(part) for part in _parts(text))),
    Recipients: lambda text: Recipients(tuple(_recipient(part) for part in _parts(text))),
}
