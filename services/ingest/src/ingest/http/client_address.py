"""The client's address and the URL of a request: by the connection, or by the headers of a trusted proxy."""

import functools
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

UNKNOWN = "unknown"

MAX_HOPS = 50
"""How many entries of `X-Forwarded-For` are read, from its end."""

_WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]):[0-9]{1,5}", re.ASCII)


class ClientAddress:
    """Determines client addresses. `X-Forwarded-For` counts from proxies in the networks of `trusted` only."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self.has_proxies = bool(self._trusted)
        self.is_trusted = functools.lru_cache(maxsize=4096)(self._belongs)

    def of(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """Returns the client's address: `peer`, unless that is a trusted proxy.

        Behind proxies it is the last entry of the `X-Forwarded-For` headers (`forwarded`) that is not a trusted proxy's
        address. An entry that is not an address ends the search.
        """
        address = peer or UNKNOWN
        if not self.has_proxies or not forwarded or not self.is_trusted(address):
            return address
        entries = ",".join(forwarded).rsplit(",", MAX_HOPS)
        for entry in reversed(entries[-MAX_HOPS:]):
            claimed = normalized(entry.strip())
            if claimed is None:
                break
            address = claimed
            if not self.is_trusted(claimed):
                break
        return address

    def url(self, peer: str | None, target: str, headers: Mapping[str, str]) -> str:
        """Returns the URL of the request, with scheme and host by a trusted proxy's headers, else by the request.

        `target` is the path and query as they were sent. Without a proxy that terminates TLS, the scheme is http.
        """
        host, scheme = headers.get("Host", ""), "http"
        if self.has_proxies and self.is_trusted(peer or UNKNOWN):
            host = headers.get("X-Forwarded-Host", host).partition(",")[0].strip()
            scheme = headers.get("X-Forwarded-Proto", scheme).partition(",")[0].strip().lower()
        return f"{scheme}://{host}{target}"

    def _belongs(self, text: str) -> bool:
        address = normalized(text)
        return address is not None and any(ip_address(address) in network for network in self._trusted)


def normalized(text: str) -> str | None:
    """Returns the canonical form of an IP address (an IPv4-mapped one as IPv4); None if it is not an address.

    A port is ignored: some proxies write `203.0.113.9:4711` and `[2001:db8::1]:4711`.
    """
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((match[1] or match[2]) if match is not None else text.strip("[]"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@functools.lru_cache(maxsize=4096)
def is_loopback(text: str) -> bool:
    """Whether the address is this machine's own, which is never limited."""
    address = normalized(text)
    return address is not None and ip_address(address).is_loopback
