"""The client's address behind proxies."""

from ipaddress import ip_network

import pytest

from ingest.http.client_address import ClientAddress, is_loopback

PROXIES = ClientAddress([ip_network("10.0.0.0/8"), ip_network("::1/128")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),  # any client can send the header
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # what the client itself claims is further left
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4", "10.0.0.2"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("::1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, garbage, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        (None, ["1.2.3.4"], "unknown"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["1.2.3.4:x"], "10.0.0.1"),
    ],
)
def test_the_address_is_the_last_entry_that_is_not_a_trusted_proxy(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    """The entries are read from the right. The first one that is not a trusted proxy's address is the client's."""
    assert PROXIES.of(peer, forwarded) == address


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    """No proxy is trusted by default."""
    assert ClientAddress([]).of("127.0.0.1", ["1.2.3.4"]) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("unknown", False),
    ],
)
def test_loopback_addresses_are_recognised(address: str, loopback: bool) -> None:
    """In each of their spellings."""
    assert is_loopback(address) is loopback
