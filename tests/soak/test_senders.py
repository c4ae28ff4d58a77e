"""The load is what the senders count: which webhooks they sent, and which of them started a flow."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from filas.contract.identity import new_id
from tests.chaos.flows import ASK
from tests.soak.flows import ENDS_AS, SILENT, UNDELIVERED, all_channels, all_flows, all_webhooks
from tests.soak.senders import WEIGHTS, Senders


class Endpoint:
    """A public listener that accepts every webhook but those of `refused`."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.refused = ""
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Keeps the webhook, and answers as Filas does."""
        name = request.match_info["name"]
        if self.refused and name.startswith(self.refused):
            return web.json_response({}, status=503)
        self.bodies.append((name, await request.json()))
        return web.json_response({"eventId": str(new_id())})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """A running endpoint."""
    found = Endpoint()
    app = web.Application()
    app.router.add_post("/webhooks/{name}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_every_webhook_is_counted(endpoint: Endpoint) -> None:
    senders = Senders(endpoint.url, rate=500, keep_s=60)
    await senders.run(1)
    names = Counter(name.partition("-")[0] for name, _ in endpoint.bodies)
    assert senders.accepted == len(endpoint.bodies) == len(senders.recent) >= 500
    assert names.keys() == WEIGHTS.keys()
    # Every second webhook of a contact to the flow with a question is the answer.
    assert names[ASK] == 2 * senders.starts[ASK]
    assert names - Counter({ASK: senders.starts[ASK]}) == senders.starts
    assert len({body["word"] for _, body in endpoint.bodies}) == len(endpoint.bodies)
    visitors = [body["from"] for name, body in endpoint.bodies if name.startswith((SILENT, UNDELIVERED))]
    assert len(set(visitors)) == len(visitors) > 0, "each has a conversation of its own"
    minute = senders.take_minute()
    assert len(minute.accept_ms) == len(endpoint.bodies)
    assert senders.take_minute().accept_ms == []


async def test_a_refused_webhook_is_counted_as_refused(endpoint: Endpoint) -> None:
    endpoint.refused = "order"
    senders = Senders(endpoint.url, rate=200, keep_s=60)
    await senders.run(0.5)
    assert senders.take_minute().refused["503"] == senders.refused["503"] > 0
    assert "order" not in senders.starts


async def test_only_the_newest_webhooks_are_kept(endpoint: Endpoint) -> None:
    senders = Senders(endpoint.url, rate=200, keep_s=0.1)
    await senders.run(0.5)
    assert len(senders.recent) < senders.accepted / 2


def test_each_flow_has_a_webhook_and_an_expected_end() -> None:
    started = {webhook["flowId"] for webhook in all_webhooks().values()}
    assert started == WEIGHTS.keys() == ENDS_AS.keys()
    assert started <= all_flows("http://127.0.0.1:1").keys()
    named = {webhook["conversation"]["channel"] for webhook in all_webhooks().values()}
    assert named == all_channels("http://127.0.0.1:1").keys()
