"""The minimum that aiohttp does: reads the body and answers. Run as `python -m tests.benchmarks.ingest.bare PORT`."""

import asyncio
import sys

import uvloop
from aiohttp import web

ANSWER = b'{"status":"received"}'


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


async def main(port: int) -> None:
    """Serves until it is killed."""
    app = web.Application()
    app.router.add_route("*", "/webhooks/{path}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
