"""The API client of the command line: one request at a time. Every error is one line."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import click

from filas.cli import advice, credentials

TIMEOUT_S = 30.0


class CommandFailed(click.ClickException):
    """The command did not succeed. Exit code 1.

    `status` is set if the API refused the request. It is not set if the API cannot be reached or a check failed.
    """

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []
        self.status = status


class Client:
    """Calls the API at `url` with `key`, whose `source` errors name. Proxies of the environment are not used."""

    def __init__(
        self, url: str, key: str, *, source: str = credentials.ADMIN_VARIABLE, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._timeout_s = timeout_s
        self.url = url.rstrip("/")
        self._key = key
        self._source = source
        self._opener = build_opener(ProxyHandler({}), _NoRedirects())

    def get(self, *path: str, **query: Any) -> Any:
        """Returns the `data` of a GET. Query parameters that are None are omitted."""
        return self._call("GET", path, query)["data"]

    def text(self, *path: str, **query: Any) -> str:
        """Returns the answer of a GET that is no JSON."""
        return self._request("GET", path, query).decode()

    def document(self, *path: str) -> Any:
        """Returns the whole answer of a GET that has no `data`."""
        return self._call("GET", path, {})

    def put(self, *path: str, body: Any, **query: Any) -> Any:
        """Returns the `data` of a PUT."""
        return self._call("PUT", path, query, body)["data"]

    def post(self, *path: str, body: Any = None, **query: Any) -> Any:
        """Returns the `data` of a POST. Query parameters that are None are omitted."""
        return self._call("POST", path, query, body)["data"]

    def delete(self, *path: str, **query: Any) -> Any:
        """Returns the `data` of a DELETE."""
        return self._call("DELETE", path, query)["data"]

    def items(self, *path: str, limit: int, **query: Any) -> Iterator[Any]:
        """Yields up to `limit` items of a list, from as many pages as needed."""
        cursor: str | None = None
        while limit > 0:
            answer = self._call("GET", path, {**query, "limit": min(limit, 500), "cursor": cursor})
            yield from answer["data"][:limit]
            limit -= len(answer["data"])
            cursor = answer.get("nextCursor")
            if not cursor:
                return

    def _call(self, method: str, path: tuple[str, ...], query: Mapping[str, Any], body: Any = None) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._request(method, path, query, body))
        except ValueError:
            raise CommandFailed(advice.other_program(self.url)) from None
        return answer

    def _request(self, method: str, path: tuple[str, ...], query: Mapping[str, Any], body: Any = None) -> bytes:
        address = f"{self.url}/api/" + "/".join(quote(part, safe="") for part in path)
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            address += "?" + urlencode(given)
        request = Request(  # noqa: S310 - the scheme was checked where the settings were read
            address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                answer: bytes = response.read()
        except HTTPError as error:
            raise _refused(error, self._source, path) from None
        except (URLError, OSError) as error:
            raise CommandFailed(advice.unreachable(self.url, error)) from None
        return answer


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: the header with the key would go to the other address too, and the API never redirects."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Returns None: the answer is then an error."""


def _refused(error: HTTPError, source: str, path: tuple[str, ...]) -> CommandFailed:
    if error.code == 401:
        return CommandFailed(advice.not_accepted(source), status=error.code)
    try:
        problem = json.loads(error.read())
        return CommandFailed(advice.refused(problem, error.code, path), problem.get("errors"), error.code)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return CommandFailed(f"the API answers {error.code} {error.reason}", status=error.code)


def from_environment(environ: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S) -> Client:
    """Returns the client for the address and the key that `credentials` finds. Raises WrongSetting."""
    found = credentials.find(os.environ if environ is None else environ)
    return Client(found.url, found.key, source=found.source, timeout_s=timeout_s)
