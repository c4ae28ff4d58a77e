"""Notifications: lists, filters, and every delivery attempt."""

from filas.contract.identity import effect_key, new_id
from tests.ingest.api.seeding import attempted, queued_notifications
from tests.ingest.api.serving import Api
from tests.ingest.api.test_history import started


async def test_a_notification_is_shown_with_every_attempt(api: Api) -> None:
    """Content, recipient and key, and each delivery attempt with its times and its error."""
    _, execution = await started(api)
    [notification] = await queued_notifications(api, execution)
    fresh = (await api.get(f"/notifications/{notification}")).data
    assert (fresh["status"], fresh["attempts"], fresh["history"]) == ("queued", 0, [])
    await attempted(api, notification, succeeds=False)
    await attempted(api, notification, succeeds=True)
    shown = (await api.get(f"/notifications/{notification}")).data
    expected = {
        "id": str(notification),
        "executionId": str(execution),
        "seq": 1,
        "channelId": "console",
        "recipient": "+5511999990000",
        "payload": {"type": "text", "text": "Olá"},
        "idempotencyKey": effect_key(execution, 1),
        "status": "sent",
        "attempts": 2,
        "uncertain": False,
        "providerId": "p7",
        "error": None,
    }
    assert expected.items() <= shown.items()
    first, second = shown["history"]
    assert (first["attempt"], first["outcome"], first["error"]["kind"]) == (1, "retry", "timeout")
    assert (second["attempt"], second["outcome"], second["statusCode"], second["error"]) == (2, "sent", 202, None)
    assert first["startedAt"] <= first["endedAt"] <= second["startedAt"] <= second["endedAt"]


async def test_an_interrupted_attempt_is_uncertain(api: Api) -> None:
    """Its worker was killed: the attempt and the notification are marked as uncertain."""
    _, execution = await started(api)
    [notification] = await queued_notifications(api, execution)
    await api.context.notifications.begin_attempt(notification)
    running = (await api.get(f"/notifications/{notification}")).data
    assert (running["status"], running["history"][0]["endedAt"]) == ("sending", None)
    await attempted(api, notification, succeeds=True)
    shown = (await api.get(f"/notifications/{notification}")).data
    assert (shown["status"], shown["uncertain"]) == ("sent", True)
    assert [one["outcome"] for one in shown["history"]] == ["uncertain", "sent"]


async def test_notifications_are_listed_and_filtered(api: Api) -> None:
    """Newest first, without attempts; by execution, channel and status, and page by page."""
    _, execution = await started(api)
    ids = [str(one) for one in await queued_notifications(api, execution, 3)]
    await attempted(api, (await api.context.notifications.search(limit=1)).items[0].id, succeeds=True)

    async def found(**params: str) -> list[str]:
        items = (await api.get("/notifications", params=params)).data
        assert all("history" not in item for item in items)
        return [item["id"] for item in items]

    everything = await found()
    assert sorted(everything) == sorted(ids)
    assert await found(executionId=str(execution)) == everything
    assert await found(executionId=str(new_id())) == []
    assert await found(channelId="console") == everything
    assert await found(channelId="other") == []
    assert await found(status="sent") == everything[:1]
    assert await found(status="queued", channelId="console") == everything[1:]
    pages: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.get("/notifications", params={"limit": "2", **cursor})
        pages += [item["id"] for item in page.data]
        if page.json["nextCursor"] is None:
            break
        cursor = {"cursor": page.json["nextCursor"]}
    assert pages == everything
