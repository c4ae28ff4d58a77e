"""Who has called, and what: by the connection and the request, or what a proxy that we trust says of them."""

import functools
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

UNKNOWN = "unknown"


class ClientAddress:
    """Finds a caller's address behind the proxies in `trusted`, whose `X-Forwarded-For` is believed."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self.believes = bool(self._trusted)
        self.is_trusted = functools.lru_cache(maxsize=4096)(self._belongs)

    def of(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """The address of the caller: `peer` itself, unless it is trusted; then the last entry of the
        `X-Forwarded-For` headers (`forwarded`) that no trusted proxy made. What is no address ends the search.
        """
        address = peer or UNKNOWN
        if not self.believes or not forwarded or not self.is_trusted(address):
            return address
        for entry in reversed(",".join(forwarded).split(",")):
            claimed = normalized(entry.strip())
            if claimed is None:
                break
            address = claimed
            if not self.is_trusted(claimed):
                break
        return address

    def url(self, peer: str | None, target: str, headers: Mapping[str, str]) -> str:
        """The address that was called: scheme and host as a trusted proxy says, else as the request itself does.

        `target` is the path and query as they were sent. Without a proxy that ends TLS, the scheme is http.
        """
        host, scheme = headers.get("Host", ""), "http"
        if self.believes and self.is_trusted(peer or UNKNOWN):
            host = headers.get("X-Forwarded-Host", host).partition(",")[0].strip()
            scheme = headers.get("X-Forwarded-Proto", scheme).partition(",")[0].strip().lower()
        return f"{scheme}://{host}{target}"

    def _belongs(self, text: str) -> bool:
        address = normalized(text)
        return address is not None and any(ip_address(address) in network for network in self._trusted)


def normalized(text: str) -> str | None:
    """The usual spelling of an IP address (an IPv4 one in IPv6 clothes as IPv4), None for anything else."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@functools.lru_cache(maxsize=4096)
def is_loopback(text: str) -> bool:
    """Whether the address is this machine's own: it is never counted against anybody."""
    address = normalized(text)
    return address is not None and ip_address(address).is_loopback
