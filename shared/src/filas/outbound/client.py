"""The guarded HTTP client: all HTTP calls of flows and channels go through it.

The address is checked where the socket is created, because only there every address is known: a name may resolve to
one address when it is checked and to another when it is called, and a literal address is never resolved.
"""

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from ipaddress import ip_address
from types import TracebackType

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy
from yarl import URL

from filas.contract.storable_text import response_text
from filas.errors import OutboundFailed, OutboundRefused, OutboundTimeout, OutboundTooLarge
from filas.observability.metrics import OUTBOUND_REQUESTS
from filas.outbound.address_rules import Network, refusal_reason
from filas.outbound.dns_lookup import DnsLookup
from filas.outbound.failure_texts import describe_failure, describe_url
from filas.outbound.outbound_response import OutboundResponse
from filas.outbound.tcp_connection import open_connection

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_REDIRECTS = 5
USER_AGENT = "Filas/0.1"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FRAMING_HEADERS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that determine the end of a request or the use of its connection. Only the client itself sets them."""

_HEADERS_FOR_OTHER_ORIGINS = frozenset(
    {"accept", "accept-language", "content-type", "idempotency-key", "traceparent", "user-agent"}
)
"""The headers that are sent after a redirect to another origin. Any other header may be a credential."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""The characters of a header's name (RFC 9110)."""

_COUNTED = {outcome: OUTBOUND_REQUESTS.labels(outcome) for outcome in ("answered", "refused", "timeout", "failed")}

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language"})

_KEEPALIVE_S = 15.0
"""Shorter than the idle timeout of most servers, so that a server seldom closes a pooled connection during a POST."""


class _ConnectionAttempts:
    """The sockets of one request. It is in the context of the request, and the socket factory fills it.

    `refused` and `tried` concern the present exchange, `sent` all exchanges including redirects.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.tried = 0
        self.sent = False


_connecting: ContextVar[_ConnectionAttempts | None] = ContextVar("filas_outbound_connecting", default=None)


class OutboundClient:
    """An async context manager with a connection pool.

    `allowed` are private networks that may be called. `ports` are the only ports that may be called; empty means all.
    `per_host` bounds the connections to one host, so that a host that never answers does not use all of them.
    `resolver` replaces DNS in tests.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        ports: Sequence[int] = (),
        methods: frozenset[str] = METHODS,
        per_host: int = 50,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._ports = frozenset(ports)
        self._methods = methods
        self._per_host = per_host
        self._resolver = resolver
        self._names: DnsLookup | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "OutboundClient":
        self._names = DnsLookup()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=self._per_host,
                socket_factory=self._make_socket,
                resolver=self._resolver or self._names,
                keepalive_timeout=_KEEPALIVE_S,
            ),
            # A cookie jar would send the cookies of one flow with the calls of another.
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            request_class=_MarkedRequest,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._names is not None:
            await self._names.close()
            self._names = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
        max_bytes: int = 1024 * 1024,
        follow_redirects: bool = True,
        truncate: bool = False,
    ) -> OutboundResponse:
        """Calls `url` and returns the response, whatever its status.

        `timeout_s` bounds the whole call: lookup, connection, redirects, body. `max_bytes` bounds the body after
        decompression. A longer body raises OutboundTooLarge, or is cut if `truncate` is set.

        Raises OutboundRefused (by the guard; a retry would not help), OutboundTimeout and OutboundFailed.
        """
        call = _Call(method=method.upper(), url=self._checked_url(url), headers=_checked_headers(headers), body=body)
        limits = _Limits(max_bytes=max_bytes, truncate=truncate, redirects=MAX_REDIRECTS if follow_redirects else 0)
        connecting = _ConnectionAttempts()
        token = _connecting.set(connecting)
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._follow(call, limits, connecting)
        except TimeoutError:
            _COUNTED["timeout"].inc()
            raise OutboundTimeout(f"no complete response within {timeout_s:g} s", sent=connecting.sent) from None
        except OutboundRefused:
            _COUNTED["refused"].inc()
            raise
        except OutboundFailed:
            _COUNTED["failed"].inc()
            raise
        finally:
            _connecting.reset(token)
        _COUNTED["answered"].inc()
        return response

    async def open_socket(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """Returns a connection for a protocol other than HTTP (see `tcp_connection.open_connection`)."""
        if self._names is None:
            raise RuntimeError("an OutboundClient is used outside of its `async with` block")
        return await open_connection(
            host, port, names=self._names, allowed=self._allowed, ports=self._ports, timeout_s=timeout_s
        )

    async def _follow(self, call: "_Call", limits: "_Limits", connecting: _ConnectionAttempts) -> OutboundResponse:
        """Makes the call and follows its redirects."""
        for _ in range(limits.redirects + 1):
            location, response = await self._once(call, limits, connecting)
            if location is None or limits.redirects == 0:
                return response
            call = self._redirected(call, response.status, location)
        raise OutboundRefused(f"more than {limits.redirects} redirects")

    async def _once(
        self, call: "_Call", limits: "_Limits", connecting: _ConnectionAttempts
    ) -> tuple[str | None, OutboundResponse]:
        """Makes one exchange. Returns the location of a redirect, or None, and the response."""
        if call.method not in self._methods:
            raise OutboundRefused(f"the method {call.method} may not be used")
        if self._session is None:
            raise RuntimeError("an OutboundClient is used outside of its `async with` block")
        connecting.refused.clear()
        connecting.tried = 0
        try:
            async with self._session.request(
                call.method, call.url, headers=call.headers, data=call.body, allow_redirects=False
            ) as answer:
                location = answer.headers.get("Location") if answer.status in _REDIRECTS else None
                if location is not None and limits.redirects:
                    answer.close()  # the body of a redirect is not read
                    body, truncated = b"", False
                else:
                    body, truncated = await _read(answer, limits)
        except aiohttp.InvalidURL:
            raise OutboundRefused("invalid URL: the host is not a valid name") from None
        except aiohttp.ClientError as error:
            if connecting.refused and not connecting.tried:
                raise OutboundRefused(f"{call.url.host} may not be called: {connecting.refused[0]}") from None
            raise OutboundFailed(describe_failure(error), sent=connecting.sent) from None
        except ValueError as error:
            raise OutboundRefused(describe_url(error)) from None
        response = OutboundResponse(
            status=answer.status, headers=_joined(answer.headers), body=body, url=str(call.url), truncated=truncated
        )
        return location, response

    def _redirected(self, call: "_Call", status: int, location: str) -> "_Call":
        """Returns the call after a redirect, as browsers make it: 303, and 301 and 302 after a POST, become a GET."""
        try:
            target = self._checked_url(str(call.url.join(_parsed(location))))
        except ValueError as error:
            raise OutboundRefused(f"redirect: {describe_url(error)}") from None
        if call.url.scheme == "https" and target.scheme == "http":
            raise OutboundRefused("redirect from https to http")
        method, body, headers = call.method, call.body, call.headers
        if (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST"):
            method, body = "GET", None
            headers = {name: value for name, value in headers.items() if name.lower() not in _BODY_HEADERS}
        if target.origin() != call.url.origin():
            headers = {name: value for name, value in headers.items() if name.lower() in _HEADERS_FOR_OTHER_ORIGINS}
        return _Call(method=method, url=target, headers=headers, body=body)

    def _checked_url(self, url: str) -> URL:
        try:
            parsed = _parsed(url)
            host, port = parsed.host, parsed.port
        except ValueError as error:
            raise OutboundRefused(describe_url(error)) from None
        if parsed.scheme not in {"http", "https"} or not host:
            raise OutboundRefused("only http and https URLs may be called")
        if self._ports and port not in self._ports:
            raise OutboundRefused(f"port {port} may not be called")
        return parsed

    def _make_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Creates every socket of this client. `info` contains the address to which it will be connected."""
        family, kind, protocol, _, address = info
        host = str(address[0])
        # A zone (`fe80::1%eth0`) names a network interface and is not part of the address.
        why = refusal_reason(ip_address(host.partition("%")[0]), self._allowed)
        connecting = _connecting.get()
        if why is not None:
            if connecting is not None:
                connecting.refused.append(f"{host} ({why})")
            raise _AddressRefused(f"{host} may not be called ({why})")
        if connecting is not None:
            connecting.tried += 1
        return socket.socket(family, kind, protocol)


class _AddressRefused(OSError):
    """Raised by the socket factory. It is an OSError, so that aiohttp tries the other addresses of the host."""


class _MarkedRequest(aiohttp.ClientRequest):
    """A request that marks the exchange as sent right before it is written. (A trace of aiohttp would do the same, but
    it costs each call a tenth of its CPU time.)"""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        connecting = _connecting.get()
        if connecting is not None:
            connecting.sent = True
        return await super().send(conn)


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    url: URL
    headers: dict[str, str]
    body: bytes | None


class _Limits(msgspec.Struct, frozen=True, kw_only=True):
    max_bytes: int
    truncate: bool
    redirects: int


def _parsed(text: str) -> URL:
    """Returns the address. Raises ValueError for a text that is none."""
    try:
        return URL(text)
    except IndexError:  # yarl, for user information without a host: `http://[::1]@`
        raise ValueError("the host is missing") from None


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked = dict(headers or {})
    has_agent = False
    for written, value in checked.items():
        name = written.lower()
        if name in _FRAMING_HEADERS or name.startswith("proxy-"):
            raise OutboundRefused(f"header {name} must not be set")
        if not _TOKEN.fullmatch(name):
            raise OutboundRefused(f"{name!r} is not a header name")
        if _CONTROL.search(value):
            raise OutboundRefused(f"header {written} contains a line break or another control character")
        has_agent = has_agent or name == "user-agent"
    return checked if has_agent else {"User-Agent": USER_AGENT, **checked}


def _joined(received: CIMultiDictProxy[str]) -> dict[str, str]:
    """The headers of a response by their lower-case names. Several values of one name are separated by commas."""
    headers: dict[str, str] = {}
    for name, value in received.items():
        key, text = name.lower(), response_text(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _read(answer: aiohttp.ClientResponse, limits: _Limits) -> tuple[bytes, bool]:
    """Returns the body, and whether it was cut. The rest of a too long body is not read; the connection is closed."""
    parts: list[bytes] = []
    size = 0
    while chunk := await answer.content.readany():
        parts.append(chunk)
        size += len(chunk)
        if size > limits.max_bytes:
            answer.close()
            if limits.truncate:
                return b"".join(parts)[: limits.max_bytes], True
            raise OutboundTooLarge(f"the response has more than {limits.max_bytes} bytes", status=answer.status)
    return b"".join(parts), False
