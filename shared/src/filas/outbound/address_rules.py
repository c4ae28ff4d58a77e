"""The addresses that flows and channels must not call.

Source: IANA's registries of special-purpose addresses (IPv4 and IPv6), and the addresses at which clouds serve the
metadata and credentials of a machine: 169.254.169.254 and fd00:ec2::254 (Amazon, and 169.254.170.2 for containers),
fd20:ce::254 (Google), 168.63.129.16 (Azure), 100.100.100.200 (Alibaba), 192.0.0.192 (Oracle). All of them but Azure's
are in special-purpose networks. Azure's is a public address that only machines in Azure can reach. Python's `is_global`
is not sufficient: on 3.11 it reports NAT64 and 6to4 addresses as global, whatever IPv4 address they contain.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared address space of carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "the platform of a cloud"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT relays"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""The only part of IPv6 that is allocated. Loopback, link-local, unique-local, site-local, multicast, discard-only,
IPv4-compatible and the local NAT64 prefix are outside of it."""

_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")


def refusal_reason(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Returns why `address` must not be called, or None if it may be called.

    An address in one of the `allowed` networks may always be called. An address that contains IPv4 addresses (mapped,
    NAT64, 6to4, Teredo) is checked by each of them.
    """
    if any(address.version == network.version and address in network for network in allowed):
        return None
    if isinstance(address, IPv4Address):
        return next((why for network, why in _REFUSED_V4 if address in network), None)
    form, carried = _carried(address)
    if form is not None:
        found = next((why for inner in carried if (why := refusal_reason(inner, allowed)) is not None), None)
        return None if found is None else f"{form} form of a refused address: {found}"
    if address not in _GLOBAL_UNICAST_V6:
        return _reason_v6(address)
    return next((why for network, why in _REFUSED_V6 if address in network), None)


def _carried(address: IPv6Address) -> tuple[str | None, tuple[IPv4Address, ...]]:
    """Returns the name of the form and the contained IPv4 addresses; (None, ()) if there are none."""
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED:
        return "IPv4-mapped", (last,)
    if address in _NAT64:
        return "NAT64", (last,)
    if address in _SIX_TO_FOUR:
        return "6to4", (IPv4Address((number >> 80) & 0xFFFFFFFF),)
    if address in _TEREDO:
        # RFC 4380: the server's address is unchanged, and every bit of the client's address is inverted.
        return "Teredo", (IPv4Address((number >> 64) & 0xFFFFFFFF), IPv4Address(int(last) ^ 0xFFFFFFFF))
    return None, ()


def _reason_v6(address: IPv6Address) -> str:
    if address.is_loopback:
        return "loopback"
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    return "private" if address in IPv6Network("fc00::/7") else "reserved"
