"""The refused requests over the API: one, and the groups by webhook and reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from filas.contract.identity import new_id
from filas.models.refusals import NewRefusal
from filas.repository.refusals import RefusalRepository
from tests.ingest.api.serving import Api, fields_of

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def refusal(number: int = 0, **fields: Any) -> NewRefusal:
    """A refusal that was received `number` minutes after NOW."""
    given: dict[str, Any] = {
        "id": new_id(), "received_at": NOW + timedelta(minutes=number), "webhook_id": "shop", "path": "/webhooks/shop",
        "method": "POST", "address": "203.0.113.7", "status": 401, "reason": "signature", "detail": "wrong signature",
        "size": 11, "headers": json.dumps({"Content-Type": "application/json"}), "query_params": "{}",
        "body": b'{"n": 1}\xc3\xa9',
    }  # fmt: skip
    return NewRefusal(**given | fields)


async def stored(api: Api, *refusals: NewRefusal) -> list[UUID]:
    """Stores them. Returns their ids."""
    await RefusalRepository(api.database).insert_many(refusals)
    return [one.id for one in refusals]


async def test_one_refusal_is_shown_with_what_was_sent(api: Api) -> None:
    [text, binary] = await stored(api, refusal(), refusal(body=b"\xff\x00"))
    shown = (await api.get(f"/refusals/{text}")).data
    assert (shown["id"], shown["reason"], shown["body"], shown["bodyEncoding"]) == (
        str(text), "signature", '{"n": 1}é', "utf-8",
    )  # fmt: skip
    assert shown["headers"] == {"Content-Type": "application/json"}
    assert (await api.get(f"/refusals/{binary}")).data["bodyEncoding"] == "base64"
    assert (await api.get(f"/refusals/{new_id()}")).status == 404
    assert (await api.get("/refusals/x")).status == 404


async def test_the_groups_are_by_webhook_and_reason(api: Api) -> None:
    """The largest first. Paths that no webhook has are one group for each reason."""
    unknown = {"webhook_id": None, "reason": "unknown-path", "status": 404, "detail": "no webhook has the path"}
    await stored(
        api,
        *(refusal(number, address=f"203.0.113.{number % 2}") for number in range(3)),
        *(refusal(number, path=f"/webhooks/{number}", **unknown) for number in range(4)),
        refusal(9, reason="too-large", status=413, detail="body exceeds 1 MiB"),
    )
    groups = (await api.get("/refusals/groups")).data
    assert [(one["webhookId"], one["reason"], one["status"], one["count"], one["addresses"]) for one in groups] == [
        (None, "unknown-path", 404, 4, 1),
        ("shop", "signature", 401, 3, 2),
        ("shop", "too-large", 413, 1, 1),
    ]
    assert groups[0]["lastPath"] == "/webhooks/3"
    assert groups[2]["lastDetail"] == "body exceeds 1 MiB"
    assert (groups[1]["firstAt"], groups[1]["lastAt"]) == ("2026-11-27T12:00:00Z", "2026-11-27T12:02:00Z")
    filtered = (await api.get("/refusals/groups?webhookId=shop&reason=signature&since=2026-11-27T12:02:00Z")).data
    assert [one["count"] for one in filtered] == [1]
    assert len((await api.get("/refusals/groups?limit=2")).data) == 2
    assert fields_of(await api.get("/refusals/groups?limit=0")) == ["limit"]
    assert (await api.get("/refusals/groups?cursor=x")).status == 422
