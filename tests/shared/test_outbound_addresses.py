"""The addresses that may be called: a table of every form in which a private address can be written."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.outbound.address_rules import refusal_reason

REFUSED = [
    ("0.0.0.0", "this host, which Linux takes for loopback"),
    ("0.1.2.3", "this network"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private, the last one"),
    ("100.64.0.1", "a carrier's own"),
    ("100.127.255.254", "a carrier's own, near the end"),
    ("100.100.100.200", "a carrier's own: the metadata of Alibaba"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback is a whole network"),
    ("168.63.129.16", "a public address that is Azure's platform"),
    ("169.254.169.254", "link-local: the metadata of a cloud"),
    ("169.254.170.2", "link-local: the credentials of a container at Amazon"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private, the last one"),
    ("192.0.0.1", "protocol assignments"),
    ("192.0.0.192", "protocol assignments: the metadata of a cloud"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relays"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("198.19.255.255", "benchmarking, the last one"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast, the last one"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::127.0.0.1", "IPv4-compatible, long given up"),
    ("::ffff:127.0.0.1", "IPv4-mapped loopback"),
    ("::ffff:10.0.0.1", "IPv4-mapped private"),
    ("::ffff:169.254.169.254", "IPv4-mapped link-local"),
    ("::ffff:168.63.129.16", "IPv4-mapped Azure"),
    ("64:ff9b::168.63.129.16", "NAT64 Azure"),
    ("2002:a83f:8110::1", "6to4 Azure"),
    ("::ffff:0:10.0.0.1", "IPv4-translated"),
    ("64:ff9b::127.0.0.1", "NAT64 loopback"),
    ("64:ff9b::10.0.0.1", "NAT64 private"),
    ("64:ff9b:1::10.0.0.1", "NAT64 for local use"),
    ("64:ff9b:1::8.8.8.8", "NAT64 for local use: who knows where it leads"),
    ("100::1", "discard-only"),
    ("2001::1", "Teredo with a server of zeros"),
    ("2001:0:7f00:1::f7f7:f7f7", "Teredo whose server is loopback"),
    ("2001:0:808:808::f5ff:fffe", "Teredo whose client is 10.0.0.1"),
    ("2001:2::1", "benchmarking"),
    ("2001:10::1", "ORCHID"),
    ("2001:20::1", "ORCHIDv2"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::1", "6to4 loopback"),
    ("2002:a00:1::1", "6to4 private"),
    ("2002:c0a8:101::", "6to4 private"),
    ("2002:a9fe:a9fe::", "6to4 link-local"),
    ("3fff::1", "documentation"),
    ("4000::1", "not given out"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fd00:ec2::254", "unique local: the metadata of a cloud"),
    ("fd20:ce::254", "unique local: the metadata of Google"),
    ("fe80::1", "link-local"),
    ("febf::1", "link-local, the end"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("ff0e::1", "multicast, global scope"),
]

PERMITTED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


@pytest.mark.parametrize(("address", "why"), REFUSED, ids=[address for address, _ in REFUSED])
def test_a_private_address_is_rejected(address: str, why: str) -> None:
    assert refusal_reason(ip_address(address)) is not None, why


@pytest.mark.parametrize("address", PERMITTED)
def test_an_address_of_the_public_internet_is_permitted(address: str) -> None:
    assert refusal_reason(ip_address(address)) is None


def test_an_allowed_network_permits_only_its_own_addresses() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("::1/128"))
    assert refusal_reason(ip_address("10.1.2.3"), allowed) is None
    assert refusal_reason(ip_address("::ffff:10.1.2.3"), allowed) is None
    assert refusal_reason(ip_address("::1"), allowed) is None
    assert refusal_reason(ip_address("10.2.0.1"), allowed) is not None
    assert refusal_reason(ip_address("127.0.0.1"), allowed) is not None


def test_a_cloud_s_platform_can_be_allowed_by_its_address() -> None:
    """As any other refused network."""
    assert refusal_reason(ip_address("168.63.129.16"), (ip_network("168.63.129.16/32"),)) is None


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_an_address_with_an_embedded_ipv4_address_is_not_more_permitted_than_it(number: int) -> None:
    inner = IPv4Address(number)
    forms = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x0064FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]
    for form in forms:
        assert (refusal_reason(form) is None) == (refusal_reason(inner) is None)


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_every_address_that_python_calls_private_is_rejected(number: int) -> None:
    inner = IPv4Address(number)
    if inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_reserved:
        assert refusal_reason(inner) is not None
