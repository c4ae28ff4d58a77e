"""`POST /api/flows/import`: converts what another product exported, and stores nothing."""

from tests.ingest.api.conftest import api
from tests.ingest.api.serving import Api
from tests.shared.flows.imports.typebots import NAMES, fixture, said, typebot

__all__ = ["api"]


async def test_a_document_becomes_a_flow_that_can_be_stored(api: Api) -> None:
    """With a report on each block; what it uses and is not stored is listed. Nothing is stored by the conversion."""
    document = typebot(said("Oi"), {"type": "Email", "options": {"recipients": ["a@example.com"], "body": "x"}})
    answer = await api.post("/flows/import", {"from": "typebot", "document": document | {"name": "Olá Loja"}})
    assert answer.status == 200, answer.text
    data = answer.data
    assert data["flowId"] == "ola-loja"
    assert [(block["id"], block["status"]) for block in data["blocks"]] == [("b1", "carried"), ("b2", "changed")]
    assert data["blocks"][1]["notes"][0]["code"] == "needs-channel"
    assert data["blocks"][1]["notes"][0]["parameters"] == {"channel": "email"}
    assert [(one["code"], one["nodeId"]) for one in data["errors"]] == [("unknown-channel", "main-email")]
    assert (await api.get("/flows/ola-loja")).status == 404
    assert (await api.put("/flows/ola-loja", data["definition"])).status == 422
    await api.put("/channels/email", {"type": "console"})
    assert (await api.put("/flows/ola-loja", data["definition"])).status == 200


async def test_every_fixture_can_be_stored(api: Api) -> None:
    """Although it uses flows and channels that are not: `force=true` publishes it."""
    for name in NAMES:
        product = name.partition("-")[0]
        answer = await api.post("/flows/import", {"from": product, "document": fixture(name), "flowId": "one"})
        assert (answer.status, answer.data["flowId"]) == (200, "one")
        stored = await api.put("/flows/one?force=true", answer.data["definition"])
        assert stored.status == 200, stored.text


async def test_what_cannot_be_imported_is_refused(api: Api) -> None:
    """With the reason at its field."""
    wrong = await api.post("/flows/import", {"from": "n8n", "document": typebot(said("x"))})
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (422, "document")
    assert "not a workflow of n8n" in wrong.json["detail"]
    other = await api.post("/flows/import", {"from": "other", "document": {}})
    assert (other.status, other.json["errors"][0]["field"]) == (422, "from")
    assert (await api.post("/flows/import", {"from": "n8n", "document": []})).status == 422
    named = {"from": "typebot", "document": typebot(said("x")), "flowId": "a/b"}
    assert (await api.post("/flows/import", named)).status == 422
