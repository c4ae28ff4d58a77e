"""Redis over TLS: the certificate must be from a known authority and for the host of the connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from filas.errors import StoreUnavailable
from filas.queue.redis_client.connection import connect
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Addresses


def certificate(directory: Path, address: str) -> Path:
    """Writes a self-signed certificate for an address, with its key, and returns the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{address}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@asynccontextmanager
async def server(path: Path) -> AsyncIterator[int]:
    """Starts a server with this certificate, which answers +PONG to each command. Returns its port on 127.0.0.1."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while sent := await reader.read(4096):
            writer.write(b"+PONG\r\n" * sent.count(b"*"))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def ping(port: int) -> object:
    """Returns the server's answer to PING over TLS."""
    redis = connect(RedisSettings(redis_host="127.0.0.1", redis_port=port, redis_tls=True))
    try:
        return await redis.command("PING")
    finally:
        await redis.close()


async def test_a_certificate_for_the_host_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only if `SSL_CERT_FILE` names its authority."""
    path = certificate(tmp_path, "127.0.0.1")
    async with server(path) as port:
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await ping(port)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert await ping(port) in {b"PONG", "PONG", True}


async def test_a_certificate_for_another_host_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the owner of any valid certificate could impersonate Redis and read the password."""
    path = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with server(path) as port:
        with pytest.raises(StoreUnavailable, match="IP address mismatch"):
            await ping(port)


TOPOLOGIES = {
    "one server": RedisSettings(redis_tls=True),
    "Cluster": RedisSettings(redis_tls=True, redis_cluster=True),
    "Sentinels": RedisSettings(
        redis_tls=True, redis_sentinels=Addresses((("127.0.0.1", 1),)), redis_sentinel_master="filas"
    ),
}


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_every_topology_checks_the_host(topology: str) -> None:
    """This includes the nodes of a Cluster and the master that Sentinels name."""
    redis = connect(TOPOLOGIES[topology])
    client = redis.client
    options = client.connection_kwargs if redis.cluster else client.connection_pool.connection_kwargs
    assert options["ssl_check_hostname"] is True
    assert options.get("ssl_cert_reqs", "required") == "required"
    await redis.close()
