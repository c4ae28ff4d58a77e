"""Guarded connections for protocols other than HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from filas.errors import OutboundFailed, OutboundRefused
from filas.outbound.dns_lookup import DnsLookup
from filas.outbound.tcp_connection import open_connection

HOME = (ip_network("127.0.0.1/32"),)


@pytest.fixture
async def names() -> AsyncIterator[DnsLookup]:
    looked_up = DnsLookup()
    yield looked_up
    await looked_up.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_allowed_address_is_connected(names: DnsLookup, port: int, host: str) -> None:
    connection = await open_connection(host, port, allowed=HOME, ports=frozenset(), timeout_s=5, names=names)
    with connection:
        assert await asyncio.get_running_loop().sock_recv(connection, 9) == b"220 hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0"])
async def test_a_private_address_is_rejected_for_any_name(names: DnsLookup, port: int, host: str) -> None:
    with pytest.raises(OutboundRefused):
        await open_connection(host, port, allowed=(), ports=frozenset(), timeout_s=5, names=names)


async def test_a_port_that_is_not_allowed_is_rejected(names: DnsLookup, port: int) -> None:
    with pytest.raises(OutboundRefused, match=str(port)):
        await open_connection("127.0.0.1", port, allowed=HOME, ports=frozenset({25}), timeout_s=5, names=names)


async def test_a_refused_connection_is_a_failure_with_nothing_sent(names: DnsLookup) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(OutboundFailed) as failed:
            await open_connection(
                "127.0.0.1", free.getsockname()[1], allowed=HOME, ports=frozenset(), timeout_s=5, names=names
            )
    assert not failed.value.sent
    with pytest.raises(OutboundFailed):
        await open_connection("no-such-host.invalid", 25, allowed=HOME, ports=frozenset(), timeout_s=5, names=names)
