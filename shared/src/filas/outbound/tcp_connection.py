"""Guarded TCP connections for protocols other than HTTP. The address is checked where the socket is created."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from filas.errors import OutboundFailed, OutboundRefused, OutboundTimeout
from filas.outbound.address_rules import Network, refusal_reason
from filas.outbound.dns_lookup import DnsLookup
from filas.outbound.failure_texts import describe_no_connection


async def open_connection(
    host: str, port: int, *, names: DnsLookup, allowed: Sequence[Network], ports: frozenset[int], timeout_s: float
) -> socket.socket:
    """Returns a connected, non-blocking TCP socket to the first address of `host` that may be called and accepts.

    `allowed` and `ports` have the meaning of OutboundClient. Raises OutboundRefused if the port or all addresses are
    forbidden, and OutboundTimeout and OutboundFailed; nothing was sent in any case.
    """
    if ports and port not in ports:
        raise OutboundRefused(f"port {port} may not be called")
    try:
        async with asyncio.timeout(timeout_s):
            return await _first(host, port, names, allowed)
    except TimeoutError:
        raise OutboundTimeout(f"no connection to {host} within {timeout_s:g} s", sent=False) from None


async def _first(host: str, port: int, names: DnsLookup, allowed: Sequence[Network]) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await names.addresses(host, port)
    except (OSError, UnicodeError):
        raise OutboundFailed(f"the host {host} is not known", sent=False) from None
    refused: str | None = None
    failed: OSError | None = None
    for family, kind, protocol, _, address in found:
        number = str(address[0])
        # A zone (`fe80::1%eth0`) names a network interface and is not part of the address.
        why = refusal_reason(ip_address(number.partition("%")[0]), allowed)
        if why is not None:
            refused = f"{number} ({why})"
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failed = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    if failed is None and refused is not None:
        raise OutboundRefused(f"{host} may not be called: {refused}")
    if failed is None:
        raise OutboundFailed(f"the host {host} has no address", sent=False)
    raise OutboundFailed(describe_no_connection(host, port, failed), sent=False)
