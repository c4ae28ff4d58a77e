"""The examples of providers: each channel, flow and webhook is accepted, and the event of each starts the flow."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from filas.contract.event_envelope import snapshot_of
from filas.contract.identity import new_id
from filas.models.events import NewEvent
from ingest.process.processor import executions_of
from tests.ingest.api.serving import Api
from tests.ingest.test_processor import received

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
FORM = "application/x-www-form-urlencoded"

STARTS = {
    "whatsapp": ("whatsapp", "5511987650001"),
    "instagram-reply": ("instagram", "1234567890123456"),
    "telegram": ("telegram", "1111111"),
    "slack": ("slack", "C024BE91L"),
    "twilio": ("twilio", "whatsapp:+5511987650001"),
    "evolution": ("evolution", "5511987650001@s.whatsapp.net"),
}
"""The conversation that the event of each example belongs to."""

FLOW_OF = {"instagram-reply": "instagram-reply"}


def example(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / kind / f"{name}.json").read_text())
    return found


async def store(api: Api, kind: str, name: str) -> None:
    """Stores the example, which must be accepted."""
    reply = await api.put(f"/{kind}/{name}", example(kind, name))
    assert reply.status == 200, reply.text


async def event_of(api: Api, name: str, body: bytes, content_type: str) -> NewEvent:
    """Returns the event of a request to the webhook, as acceptance makes it."""
    webhook = await api.context.webhooks.get(name)
    assert webhook is not None
    return NewEvent(
        id=new_id(), webhook_id=name, flow_id=webhook.flow_id, node_id=webhook.node_id, method="POST", headers="{}",
        query_params="{}", body=body, content_type=content_type, remote_address="192.0.2.1", duplicate_key="key",
        group_key=None, config=msgspec.json.encode(snapshot_of(webhook)).decode(), received_at=datetime.now(UTC),
    )  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
async def test_the_example_of_a_provider_starts_its_flow(api: Api, name: str) -> None:
    """In the order in which the README installs it: secret, channel, flow, webhook."""
    await api.put("/secrets/instagram", {"value": "the token of the page"})
    if (EXAMPLES / "channels" / f"{name}.json").exists():
        await store(api, "channels", name)
    await store(api, "flows", FLOW_OF.get(name, "support-menu"))
    await store(api, "webhooks", name)
    form = EXAMPLES / "events" / f"{name}.txt"
    if form.exists():
        event = await event_of(api, name, form.read_bytes().strip(), FORM)
    else:
        event = await event_of(api, name, json.dumps(example("events", name)).encode(), "application/json")
    [execution], reason = executions_of(received(event))
    assert (execution.channel, execution.contact, reason) == (*STARTS[name], None)
    assert json.loads(execution.trigger)["message"]["text"] == "oi"


@pytest.mark.parametrize(("change", "expected"), [({"fromMe": True}, "filter"), ({"fromMe": False}, None)])
async def test_evolutions_echo_is_filtered(api: Api, change: dict[str, Any], expected: str | None) -> None:
    """It reports the messages that we have sent, too."""
    for kind, name in (("channels", "evolution"), ("flows", "support-menu"), ("webhooks", "evolution")):
        await store(api, kind, name)
    body = example("events", "evolution")
    body["data"]["key"] |= change
    event = await event_of(api, "evolution", json.dumps(body).encode(), "application/json")
    assert executions_of(received(event))[1] == expected
