"""The routes that add and remove one secret of a webhook, at the same time as other changes."""

import asyncio

from tests.ingest.api.serving import FLOW, Api

WEBHOOK = {"flowId": "greeting", "auth": {"type": "bearer", "secrets": ["first"]}}


async def test_secrets_that_are_added_at_the_same_time_are_all_kept(api: Api) -> None:
    """Each change reads the webhook in its own transaction, under the lock of the webhook."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/hello", WEBHOOK)
    replies = await asyncio.gather(
        *(api.post("/webhooks/hello/secrets", {"secret": f"secret-{number}"}) for number in range(8))
    )
    assert [reply.status for reply in replies] == [200] * 8
    webhook = (await api.get("/webhooks/hello")).data
    assert len(webhook["auth"]["secrets"]) == 9


async def test_a_deleted_webhook_gets_no_secret(api: Api) -> None:
    """It stays deleted."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/hello", WEBHOOK)
    await api.call("DELETE", "/webhooks/hello")
    assert (await api.post("/webhooks/hello/secrets", {"secret": "late"})).status == 404
    assert (await api.get("/webhooks/hello")).status == 404
