"""The outside world: the receiver of messages and the API that flows call. Each can be down, slow, busy or answer
garbage, and keeps every request that it has answered with success, and every other one."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from aiohttp import web

Behaviour = Literal["well", "slow", "garbage", "busy"]

SLOW_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that arrived: when (in seconds since the beginning), its path, idempotency key and body, and whether it
    was answered with success. `edit` is the parameter of that name in its query."""

    at_s: float
    path: str
    key: str
    body: bytes
    answered_well: bool
    edit: int = 0


class Receiver:
    """An HTTP server. The times of its arrivals count from `began` (monotonic). A request counts as arrived as soon as
    its body is complete, whatever the answer is."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = "well"
        self.arrivals: list[Arrival] = []
        self.began = time.monotonic()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> "Receiver":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        behaviour = self.behaviour
        is_broken = request.path.endswith("/broken")
        key = request.headers.get("Idempotency-Key", "")
        well = behaviour in ("well", "slow") and not is_broken
        edit = int(request.query.get("edit", 0))
        self.arrivals.append(Arrival(time.monotonic() - self.began, request.path, key, body, well, edit))
        if behaviour == "slow":
            await asyncio.sleep(SLOW_S)
        if is_broken:
            return web.json_response({"error": "always"}, status=400)
        if behaviour == "busy":
            return web.Response(status=429, headers={"Retry-After": "1"})
        if behaviour == "garbage":
            return web.Response(status=502, body=b"\xff\x00<html>" * 200, content_type="application/json")
        return web.Response(body=msgspec.json.encode({"ok": True}), content_type="application/json")
