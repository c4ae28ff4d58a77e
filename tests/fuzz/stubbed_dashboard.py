"""The dashboard with its middlewares, pages and templates. The API behind it checks what it is given as the real one
does, and answers with samples instead of what the stores have."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, Literal, get_args
from unittest import mock

import msgspec
from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from filas.contract.storable_text import sent_bytes
from filas.doctor.stores import DEFAULT_SETTINGS
from filas.errors import StoreUnavailable
from filas.memory_budget import MemoryBudget
from filas.service.stores import Stores
from ingest.access.api_access import Access, build_access
from ingest.api.definitions import channel_fields, webhook_routes
from ingest.api.definitions.flow_checks import imported_and_checked
from ingest.api.routing.problems import FieldError, conflict, invalid, not_found
from ingest.api.routing.route_types import Answer, Call, Route
from ingest.dashboard import api_calls, application
from ingest.dashboard.sessions import session_cookie
from ingest.dashboard.sessions.signed_in import Sessions
from tests.fuzz.sample_answers import answer_of

ApiState = Literal["ok", "missing", "conflict", "unavailable"]
"""What the API answers to a valid call: a sample; 404 to each GET of one object; 409 to each change; no store."""

ADMIN_TOKEN: Final = "the-long-and-random-admin-token-of-the-tests"
SECRET_KEY: Final = "a long and random key of the tests"
CSRF: Final = "the-token-of-the-forms"
HOST: Final = "localhost:8081"
PEER: Final = ("127.0.0.1", 1)


class _NoStore:
    """A store that does not answer, whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NoStore()

    def __call__(self, *_arguments: Any, **_options: Any) -> Any:
        return _NoAnswer()


class _NoAnswer:
    """What a call returns. Nothing warns of it if the caller does not await it."""

    def __await__(self) -> Iterator[None]:
        yield from ()
        raise StoreUnavailable("postgres", "down")


class _Audit:
    """Stores nothing."""

    async def write_with(self, _subject: str, change: Callable[[], Any]) -> Any:
        return (await change())[0]

    async def add(self, entry: Any) -> None:
        pass

    def add_later(self, entry: Any) -> None:
        pass


class _Context:
    """The context of the API. Everything that is not set here is a store."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.memory = MemoryBudget(2**26)
        self.public_url = "https://hooks.example"
        self.doctor = DEFAULT_SETTINGS

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NoStore()


class StubbedDashboard:
    """One dashboard. Must be made in a running event loop."""

    def __init__(self) -> None:
        store: Any = _NoStore()
        access = build_access(Stores(store, store, store), admin_token=ADMIN_TOKEN, secret_key=SECRET_KEY)
        audit: Any = _Audit()
        access.keys.is_loaded = True
        access = dataclasses.replace(access, audit=audit)
        context: Any = _Context(access)
        routes = api_calls.BY_OPERATION.items()
        self._operations: dict[str, dict[str, Route[Any, Any]]] = {
            state: {name: _stubbed(route, state) for name, route in routes} for state in get_args(ApiState)
        }
        self._app = web.Application()
        application.register(self._app, context, SECRET_KEY)
        self._app.freeze()
        sessions = Sessions(access, SECRET_KEY)
        client = access.authenticator.client_of(ADMIN_TOKEN)
        assert client is not None
        opened = sessions.open(client)
        longest = opened.signed_in_at + int(session_cookie.LONGEST.total_seconds())
        self.cookie = sessions.cookie_value(msgspec.structs.replace(opened, csrf=CSRF, expires_at=longest))

    async def answer(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes, state: ApiState
    ) -> web.StreamResponse:
        """Returns the answer to a request. Raises what aiohttp would answer with 500."""
        with mock.patch.dict(api_calls.BY_OPERATION, self._operations[state]):
            try:
                return await self._app._handle(self._request(method, target, headers, body))
            except web.HTTPException as error:
                return error

    @staticmethod
    def _request(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> web.Request:
        path, _, query = target.partition("?")
        url = URL.build(path=path, query_string=query.partition("#")[0], encoded=True)
        raw = tuple((name.encode("latin-1", "replace"), sent_bytes(value)) for name, value in headers)
        given = CIMultiDictProxy(CIMultiDict(headers))
        message = RawRequestMessage(method, target, HttpVersion11, given, raw, False, None, False, False, url)
        transport = SimpleNamespace(get_extra_info=lambda name, default=None: PEER if name == "peername" else default)
        protocol: Any = SimpleNamespace(
            transport=transport, peername=PEER, sockname=None, ssl_context=None, _reading_paused=False
        )
        payload: Any = _Body(body)
        writer: Any = SimpleNamespace(transport=transport)
        no_task: Any = None
        loop = asyncio.get_running_loop()
        return web.Request(message, payload, protocol, writer, no_task, loop, client_max_size=2**20)


class _Body:
    """The body of a request, which has arrived."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def iter_any(self) -> Any:
        yield self._content

    async def readany(self) -> bytes:
        content, self._content = self._content, b""
        return content

    def at_eof(self) -> bool:
        return not self._content


def _stubbed(route: Route[Any, Any], state: ApiState) -> Route[Any, Any]:
    async def handler(call: Call[Any, Any]) -> Answer:
        errors = [*call.errors, *_errors(route, call.body)]
        if errors:
            raise invalid(errors)
        if state == "unavailable":
            raise StoreUnavailable("postgres", "down")
        if state == "missing" and route.method == "GET" and "{" in route.path:
            raise not_found("object", next(iter(call.path.values()), ""))
        if state == "conflict" and route.method != "GET":
            raise conflict("another object refers to it")
        return answer_of(route, call)

    handler.__name__ = route.handler.__name__
    return dataclasses.replace(route, handler=handler)


def _errors(route: Route[Any, Any], body: Any) -> list[FieldError]:
    if isinstance(body, webhook_routes.WebhookBody):
        return webhook_routes._errors(body)
    if isinstance(body, get_args(channel_fields.ChannelBody)):
        channel_fields.check(body)
    if route.operation_id in ("putFlow", "checkFlow") and isinstance(body, dict):
        imported_and_checked(body)
    return []
