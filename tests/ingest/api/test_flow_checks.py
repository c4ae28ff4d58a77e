"""The check of a definition that is not stored, the names in scope, and the differences between definitions."""

from typing import Any

from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_history import new_event
from tests.shared.flows.test_older_builder_import import OLDER

BROKEN: dict[str, Any] = FLOW | {"edges": []}


async def test_a_definition_is_checked_without_being_stored(api: Api) -> None:
    """With every error and warning of publishing, also that of a channel that is not stored."""
    found = await api.post("/flows/new/check", BROKEN)
    assert (found.status, found.data["warnings"]) == (200, [])
    assert [(one["nodeId"], one["code"]) for one in found.data["errors"]] == [("hello", "unreachable")]
    hello = {"id": "hello", "type": "message", "data": {"text": "x", "channel": "sales"}}
    unknown = await api.post("/flows/new/check", FLOW | {"nodes": [FLOW["nodes"][0], hello]})
    assert [one["code"] for one in unknown.data["errors"]] == ["unknown-channel"]
    good = await api.post("/flows/new/check", FLOW)
    assert (good.data["errors"], good.data["scopesComplete"]) == ([], True)
    assert (await api.get("/flows/new")).status == 404
    assert (await api.get("/audit?subject=flows/new")).data == []


async def test_any_object_can_be_checked(api: Api) -> None:
    """Also what is no flow at all, and the format of the older builder."""
    for body in ({}, {"nodes": 5}, {"nodes": [None, {"id": 1}, {"id": "a", "type": "x", "data": []}]}):
        found = await api.post("/flows/new/check", body)
        assert found.status == 200
        assert found.data["errors"]
    older = await api.post("/flows/new/check", OLDER)
    assert older.data["errors"] == []
    assert older.data["scopes"]
    assert (await api.call("POST", "/flows/new/check", data=b"[]")).status == 422


async def test_the_names_in_scope_are_in_the_answer(api: Api) -> None:
    """Of every node or of one; with the stored secrets, and the fields of the last event of the flow's webhook, but no
    value of it."""
    await api.put("/secrets/shop", {"value": "s3cret"})
    await api.put("/webhooks/orders?force=true", {"flowId": "greeting"})
    await api.context.events.insert_many([new_event(body=b'{"name":"Maria","address":{"city":"Recife"}}')])
    found = await api.post("/flows/greeting/check", FLOW)
    assert list(found.data["scopes"]) == ["start", "hello"]
    names = {one["name"]: one for one in found.data["scopes"]["hello"]}
    assert {"nodes.start.output", "secrets.shop", "webhook.body.name", "webhook.body.address.city"} <= set(names)
    assert names["webhook.body.name"] == {
        "name": "webhook.body.name",
        "kind": "webhook",
        "detail": "A field of the last event of webhook orders (text).",
    }
    assert not any(secret in found.text for secret in ("Maria", "Recife", "s3cret"))
    assert list((await api.post("/flows/greeting/check?nodeId=hello", FLOW)).data["scopes"]) == ["hello"]
    assert (await api.post("/flows/greeting/check?nodeId=none", FLOW)).data["scopes"] == {}
    other = await api.post("/flows/other/check", FLOW)
    assert "webhook.body.name" not in {one["name"] for one in other.data["scopes"]["hello"]}


async def test_the_roles_of_checks_and_comparisons(api: Api) -> None:
    await api.put("/flows/greeting", FLOW)
    viewer = (await api.post("/keys", {"name": "Vera", "role": "viewer"})).data["key"]
    await api.context.access.keys.refresh()
    assert (await api.post("/flows/greeting/check", FLOW, token=viewer)).status == 403
    assert (await api.post("/flows/greeting/differences", FLOW, token=viewer)).status == 200
    assert (await api.get("/flows/greeting/versions/1/differences/1", token=viewer)).status == 200


async def test_a_definition_is_compared_with_the_published_version(api: Api) -> None:
    """Or with another one. Positions are listed apart, and nothing is stored."""
    added = await api.post("/flows/greeting/differences", FLOW)
    assert (added.data["beforeVersion"], added.data["equal"]) == (None, False)
    assert {one["kind"] for one in added.data["differences"]} == {"added"}
    await api.put("/flows/greeting", FLOW)
    await api.put("/flows/greeting?publish=false", FLOW | {"name": "Unpublished"})
    same = await api.post("/flows/greeting/differences", FLOW)
    nothing: dict[str, Any] = {"beforeVersion": 1, "afterVersion": None, "equal": True, "differences": [], "moved": []}
    assert same.data == nothing
    hello = FLOW["nodes"][1] | {"position": {"x": 9, "y": 9}, "data": {"text": "Bye"}}
    changed = await api.post("/flows/greeting/differences", FLOW | {"nodes": [FLOW["nodes"][0], hello]})
    one = {"kind": "changed", "part": "node", "name": "hello", "field": "data.text"}
    words = {"before": "Hello {{ webhook.body.name }}", "after": "Bye"}
    assert (changed.data["differences"], changed.data["moved"]) == ([one | words], ["hello"])
    moved = await api.post(
        "/flows/greeting/differences",
        FLOW | {"nodes": [FLOW["nodes"][0], FLOW["nodes"][1] | {"position": {"x": 5, "y": 5}}]},
    )
    assert (moved.data["equal"], moved.data["differences"], moved.data["moved"]) == (False, [], ["hello"])
    other = await api.post("/flows/greeting/differences?version=2", FLOW)
    assert [(one["field"], one["before"], one["after"]) for one in other.data["differences"]] == [
        ("name", "Unpublished", "Greeting")
    ]
    assert (await api.post("/flows/greeting/differences?version=3", FLOW)).status == 404
    assert len((await api.get("/flows/greeting/versions")).data) == 2


async def test_two_versions_are_compared(api: Api) -> None:
    await api.put("/flows/greeting", FLOW)
    await api.put("/flows/greeting", FLOW | {"variables": [{"name": "n"}]})
    found = (await api.get("/flows/greeting/versions/1/differences/2")).data
    assert (found["beforeVersion"], found["afterVersion"], found["equal"]) == (1, 2, False)
    assert [(one["kind"], one["part"], one["name"]) for one in found["differences"]] == [("added", "variable", "n")]
    for path in ("1/differences/3", "0/differences/1", "x/differences/1", "1/differences/99999999999999999999"):
        assert (await api.get(f"/flows/greeting/versions/{path}")).status == 404, path
    assert (await api.get("/flows/none/versions/1/differences/1")).status == 404
