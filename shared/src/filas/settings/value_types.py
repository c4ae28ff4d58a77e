"""The types of settings that are not a number or a text, and how they are written."""

import re
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


def decode(kind: type, text: object) -> object:
    """Converts `text` to one of these types (the `dec_hook` of msgspec). Raises ValueError for an invalid text."""
    if kind is Secret:
        return Secret(str(text))
    if kind is Networks:
        return Networks(tuple(ip_network(part) for part in _parts(text)))
    if kind is Ports:
        return Ports(tuple(_port(part) for part in _parts(text)))
    if kind is Addresses:
        return Addresses(tuple(_address(part) for part in _parts(text)))
    if kind is HostNames:
        return HostNames(tuple(_host_name(part) for part in _parts(text)))
    if kind is NamePatterns:
        return NamePatterns(tuple(_name_pattern(part) for part in _parts(text)))
    raise NotImplementedError(kind)


def _parts(text: object) -> list[str]:
    return [part.strip() for part in str(text).split(",") if part.strip()]


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


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not host or not colon:
        raise ValueError(text)
    return host.strip("[]"), _port(port)
