"""Where a request comes from: under which address the browser sees the dashboard, and which page has sent the request.

Behind a proxy, scheme and host are those of `X-Forwarded-Proto` and `X-Forwarded-Host`, if TRUSTED_PROXIES has the
proxy's address.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from ingest.http.client_address import ClientAddress, is_loopback

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PROXY_HEADERS: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The address of the dashboard as the browser sees it. `host` has the port, unless it is that of the scheme."""

    scheme: str
    host: str
    is_loopback: bool

    @property
    def is_tls(self) -> bool:
        """Whether the browser's connection is encrypted."""
        return self.scheme == "https"

    @property
    def is_insecure(self) -> bool:
        """Whether others on the way can read and change what is sent."""
        return not self.is_tls and not self.is_loopback


def origin_of(request: web.Request, addresses: ClientAddress) -> RequestOrigin:
    """Returns the address at which the browser sees the dashboard."""
    scheme, _, host = addresses.url(request.remote, "", request.headers).partition("://")
    scheme = scheme if scheme in _DEFAULT_PORTS else "http"
    name, with_port = _parts(f"{scheme}://{host}")
    return RequestOrigin(scheme, with_port, _is_loopback_name(name))


def comes_from_this_machine(request: web.Request) -> bool:
    """Whether a program on this machine has sent the request, and no proxy."""
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    name, _ = _parts(f"http://{request.headers.get('Host', '')}")
    return is_loopback(request.remote or "") and _is_loopback_name(name)


def refusal(request: web.Request, origin: RequestOrigin) -> str | None:
    """Returns why the request is refused: a page of another origin has sent it. None: it is not refused.

    A link in another page may lead to a page of ours. Anything else from another page is refused: forms, scripts,
    images, frames. Sites of one machine differ only by their port, so `same-site` is foreign too.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    is_foreign = site in ("cross-site", "same-site")
    if request.method in SAFE_METHODS:
        headers = request.headers
        is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        return f"Sec-Fetch-Site is {site}" if is_foreign and not is_link else None
    if is_foreign:
        return f"Sec-Fetch-Site is {site}"
    sent = request.headers.get("Origin")
    if sent is None or _is_same(sent, origin):
        return None
    return f"the form was sent by {sent[:200]!r}, and this is {origin.scheme}://{origin.host[:200]}"


def opened_by_the_user(request: web.Request) -> bool:
    """Whether a browser shows the page because its user has typed, pasted or clicked the address outside of any page.

    Programs that look at addresses before or without a user (previews, scanners, prefetching) do not send these
    headers, or state their purpose.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Site") == "none"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and not any(name in headers for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    )


def _is_same(sent: str, origin: RequestOrigin) -> bool:
    """Whether an `Origin` header names the dashboard. The scheme is compared if TLS is known to be used: otherwise, a
    proxy that is not in TRUSTED_PROXIES may terminate it."""
    scheme, separator, _ = sent.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS or (origin.is_tls and scheme != "https"):
        return False
    _, host = _parts(sent)
    return bool(host) and host == origin.host


def _parts(url: str) -> tuple[str, str]:
    """Returns the host of a URL without and with its port; empty texts for what is no URL."""
    try:
        address = urlsplit(url)
        name, port = (address.hostname or "").removesuffix("."), address.port
    except ValueError:
        return "", ""
    shown = f"[{name}]" if ":" in name else name
    return name, shown if port in (None, _DEFAULT_PORTS.get(address.scheme)) else f"{shown}:{port}"


def _is_loopback_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
