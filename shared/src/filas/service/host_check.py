"""Rejects requests whose `Host` names a foreign host: protection of the private listeners against DNS rebinding.

In a DNS rebinding attack, a page of the attacker's domain lets that domain resolve to a private address, so that the
browser of an operator sends requests to a private listener. Such a request carries the attacker's name in `Host`. An
IP address in `Host` is therefore harmless and always accepted; probes and scrapes call the listeners by address. A
request without `Host` does not come from a browser.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web

from filas.service.problem_documents import problem_response

ANY: Final = "*"
_HOST: Final = re.compile(r"(?:\[(?P<address>[^\]]+)\]|(?P<name>[^:]+))(?::\d*)?")


def is_allowed(host: str, names: Collection[str]) -> bool:
    """Whether the value of a `Host` header is an IP address or one of `names` (lower case), with or without a port."""
    if ANY in names:
        return True
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    name = (parts["address"] or parts["name"]).lower().removesuffix(".")
    return name in names or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def make_host_check(names: Collection[str]) -> Any:
    """Returns the aiohttp middleware that answers 421 to a request whose `Host` is not allowed by `is_allowed`."""

    @web.middleware
    async def check_host(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host = request.headers.get("Host")
        if host and not is_allowed(host, names):
            return problem_response(
                421, "Misdirected request", f"the host {host[:200]!r} is not listed in the variable ADMIN_HOSTS"
            )
        return await handler(request)

    return check_host
