"""The API client of the command line: one request at a time. Every error is one line."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click

DEFAULT_URL = "http://127.0.0.1:8081"
TIMEOUT_S = 30.0


class WrongSetting(click.ClickException):
    """A setting is missing or wrong. Exit code 2."""

    exit_code = 2


class CommandFailed(click.ClickException):
    """The command did not succeed. Exit code 1.

    `status` is set if the API refused the request. It is not set if the API cannot be reached or a check failed.
    """

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []
        self.status = status


class Client:
    """Calls the API at `url` with `token`. Proxies of the environment are not used."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._url = url.rstrip("/")
        self._token = token
        self._opener = build_opener(ProxyHandler({}))

    def get(self, *path: str, **query: Any) -> Any:
        """Returns the `data` of a GET. Query parameters that are None are omitted."""
        return self._call("GET", path, query)["data"]

    def put(self, *path: str, body: Any, **query: Any) -> Any:
        """Returns the `data` of a PUT."""
        return self._call("PUT", path, query, body)["data"]

    def post(self, *path: str, body: Any = None) -> Any:
        """Returns the `data` of a POST."""
        return self._call("POST", path, {}, body)["data"]

    def delete(self, *path: str) -> Any:
        """Returns the `data` of a DELETE."""
        return self._call("DELETE", path, {})["data"]

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
        address = f"{self._url}/api/" + "/".join(quote(part, safe="") for part in path)
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            address += "?" + urlencode(given)
        request = Request(  # noqa: S310 - the scheme was checked where the settings were read
            address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                answer: dict[str, Any] = json.load(response)
        except HTTPError as error:
            raise _refused(error) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise CommandFailed(f"{self._url} cannot be reached ({reason}): is `ingest admin` running?") from None
        except ValueError:
            raise CommandFailed(f"{self._url} answers, but it is not the API of Filas") from None
        return answer


def _refused(error: HTTPError) -> CommandFailed:
    if error.code == 401:
        return CommandFailed("the API does not accept FILAS_ADMIN_TOKEN: it is not the token of this installation")
    try:
        problem = json.loads(error.read())
        return CommandFailed(f"{problem['title']}: {problem['detail']}", problem.get("errors"), error.code)
    except (ValueError, KeyError, TypeError):
        return CommandFailed(f"the API answers {error.code} {error.reason}", status=error.code)


def from_environment(environ: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S) -> Client:
    """Returns the client for FILAS_URL and FILAS_ADMIN_TOKEN. Raises WrongSetting, which names the variable."""
    found = os.environ if environ is None else environ
    token = found.get("FILAS_ADMIN_TOKEN", "")
    if not token or not token.isascii() or not token.isprintable():
        reason = "is not set" if not token else "contains characters that a token cannot have"
        raise WrongSetting(f"FILAS_ADMIN_TOKEN {reason} (after `make up`: `set -a; . .filas/env` sets it)")
    return Client(api_url(found), token, timeout_s=timeout_s)


def api_url(environ: Mapping[str, str]) -> str:
    """Returns FILAS_URL or its default. Raises WrongSetting."""
    url = environ.get("FILAS_URL") or DEFAULT_URL
    try:
        address = urlsplit(url)
        valid = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise WrongSetting(f"FILAS_URL={url!r} is not a URL such as {DEFAULT_URL}")
    return url
