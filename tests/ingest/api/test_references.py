"""What other definitions refer to is not deleted, unless it is forced."""

import asyncio
from typing import Any

import pytest

from ingest.api.definitions import references
from tests.flow_runner.harness import chain, node
from tests.ingest.api.serving import FLOW, Api

CRON = {"cron": "0 9 * * *"}
TALK = {"channel": "sales", "contact": "{{ body.from }}"}
ALERT = {"metric": "dead-letters", "to": [{"channel": "other", "to": "a"}, {"channel": "sales", "to": "b"}]}
SECRET_HEADER = {"url": "https://a.example", "headers": {"X": "Bearer {{ secrets.crm }}"}}


@pytest.fixture(autouse=True)
async def stored(api: Api) -> None:
    """A flow, two channels and two secrets that nothing uses."""
    for path, document in (
        ("/flows/greeting", FLOW),
        ("/channels/sales", {"type": "console"}),
        ("/channels/other", {"type": "console"}),
        ("/secrets/crm", {"value": "x"}),
        ("/secrets/crm2", {"value": "x"}),
    ):
        assert (await api.put(path, document)).status == 200


def flow_with(*parts: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return chain(*(parts or (node("hi", "message", text="x"),)), settings=settings)


@pytest.mark.parametrize(
    ("target", "path", "document", "reference"),
    [
        ("flows/greeting", "/webhooks/w", {"flowId": "greeting"}, {"kind": "webhook", "id": "w", "field": "flowId"}),
        ("flows/greeting", "/schedules/s", {"flowId": "greeting", **CRON},
         {"kind": "schedule", "id": "s", "field": "flowId"}),
        ("flows/greeting", "/flows/f", flow_with(node("s", "subflow", flowId="greeting")),
         {"kind": "flow", "id": "f", "nodeId": "s", "field": "flowId"}),
        ("flows/greeting", "/flows/f", flow_with(errorFlowId="greeting"),
         {"kind": "flow", "id": "f", "field": "settings.errorFlowId"}),
        ("flows/greeting", "/flows/f", flow_with(undeliveredFlowId="greeting"),
         {"kind": "flow", "id": "f", "field": "settings.undeliveredFlowId"}),
        ("channels/sales", "/webhooks/w", {"flowId": "greeting", "conversation": TALK},
         {"kind": "webhook", "id": "w", "field": "conversation.channel"}),
        ("channels/sales", "/schedules/s",
         {"flowId": "greeting", **CRON, "conversation": {"channel": "sales", "contact": "a"}},
         {"kind": "schedule", "id": "s", "field": "conversation.channel"}),
        ("channels/sales", "/flows/f", flow_with(node("m", "message", text="x", channel="sales")),
         {"kind": "flow", "id": "f", "nodeId": "m", "field": "channel"}),
        ("channels/sales", "/alerts/a", ALERT, {"kind": "alert", "id": "a", "field": "to[1].channel"}),
        ("secrets/crm", "/flows/f", flow_with(node("a", "api", **SECRET_HEADER)),
         {"kind": "flow", "id": "f", "nodeId": "a", "field": "headers.X"}),
    ],
)  # fmt: skip
async def test_what_is_used_is_not_deleted(
    api: Api, target: str, path: str, document: dict[str, Any], reference: dict[str, str]
) -> None:
    """409 names what uses it. It is deleted with `force`, or after the other one."""
    put = await api.put(path, document)
    assert put.status == 200, put.text
    refused = await api.delete(f"/{target}")
    assert (refused.status, refused.json["references"]) == (409, [reference]), refused.text
    kind, name = target.split("/")
    assert (
        f"{kind.removesuffix('s')} '{name}' is used by {reference['kind']} '{reference['id']}'"
        in refused.json["detail"]
    )
    assert "?force=true" in refused.json["detail"]
    assert name in (await api.get("/secrets")).data or (await api.get(f"/{target}")).status == 200
    assert (await api.delete(path)).status == 200
    assert (await api.delete(f"/{target}")).status == 200
    assert (await api.delete(f"/{target}")).status == 404


async def test_force_deletes_what_is_used(api: Api) -> None:
    await api.put("/webhooks/w", {"flowId": "greeting", "conversation": TALK})
    assert (await api.delete("/channels/sales?force=true")).status == 200
    assert (await api.delete("/flows/greeting?force=true")).status == 200
    assert (await api.get("/webhooks/w")).status == 200
    assert (await api.delete("/flows/greeting")).status == 404


async def test_what_is_not_a_use_does_not_prevent_a_deletion(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that runs itself, a longer name, the same word elsewhere, and a version that is not published."""
    monkeypatch.setattr(references, "PAGE", 1)
    parts = [*FLOW["nodes"], node("again", "subflow", flowId="greeting")]
    edges = [*FLOW["edges"], {"id": "e2", "source": "hello", "target": "again"}]
    assert (await api.put("/flows/greeting", FLOW | {"nodes": parts, "edges": edges})).status == 200
    assert (await api.put("/flows/a", flow_with(node("greeting", "message", text="greeting")))).status == 200
    assert (
        await api.put("/flows/b", flow_with(node("crm", "api", url="https://crm/{{ secrets.crm2 }}")))
    ).status == 200
    assert (await api.put("/flows/c", flow_with(node("s", "subflow", flowId="greeting")))).status == 200
    assert (await api.put("/flows/c", flow_with(node("m", "message", text="greeting", channel="other")))).status == 200
    assert (await api.delete("/secrets/crm")).status == 200
    assert (await api.delete("/secrets/crm2")).status == 409
    assert (await api.delete("/channels/sales")).status == 200
    deleted = await api.delete("/flows/greeting")
    assert deleted.status == 200, deleted.text


async def test_many_references_are_counted(api: Api) -> None:
    for number in range(7):
        await api.put(f"/webhooks/w{number}", {"flowId": "greeting"})
    refused = await api.delete("/flows/greeting")
    assert "webhook 'w4' and 2 more:" in refused.json["detail"]
    assert len(refused.json["references"]) == 7


async def test_a_deletion_and_a_new_use_at_the_same_time(api: Api) -> None:
    """One of the two is refused: nothing refers to what does not exist."""
    uses = (
        ("/webhooks/w", {"flowId": "greeting", "conversation": TALK}),
        ("/schedules/s", {"flowId": "greeting", **CRON}),
        ("/flows/f", flow_with(node("s", "subflow", flowId="greeting"))),
    )
    for path, document in uses:
        for _ in range(5):
            await api.put("/flows/greeting", FLOW)
            put, deleted = await asyncio.gather(api.put(path, document), api.delete("/flows/greeting"))
            assert (put.status, deleted.status) in ((200, 409), (422, 200)), (put.text, deleted.text)
            await api.delete(path)


async def test_a_deletion_that_is_refused_has_no_entry_in_the_audit(api: Api) -> None:
    await api.put("/webhooks/w", {"flowId": "greeting"})
    await api.delete("/flows/greeting")
    assert (await api.get("/audit?action=deleteFlow")).data == []
    await api.delete("/flows/greeting?force=true")
    assert len((await api.get("/audit?action=deleteFlow")).data) == 1
