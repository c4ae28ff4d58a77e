"""The definitions of flows, webhooks, channels and secrets: stored, rejected, and shown without secrets."""

import copy
from typing import Any

import pytest

from tests.ingest.api.serving import FLOW, SECRET_KEY, Api, fields_of

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


# ---- flows -----------------------------------------------------------------------------------------


async def test_a_flow_is_stored_published_and_shown(api: Api) -> None:
    """PUT answers with the new version. GET shows the definition of the PUT."""
    put = await api.put("/flows/greeting", FLOW)
    assert put.status == 200, put.text
    assert (put.data["id"], put.data["version"], put.data["published"]) == ("greeting", 1, True)
    assert put.data["createdAt"].endswith("Z")
    got = await api.get("/flows/greeting")
    assert got.data["definition"] == FLOW
    assert api.changes == ["changed"]


async def test_an_unchanged_flow_is_no_new_version(api: Api) -> None:
    """A PUT of the same definition answers with the existing version."""
    await api.put("/flows/greeting", FLOW)
    again = await api.put("/flows/greeting", FLOW)
    assert again.data["version"] == 1


async def test_a_version_can_be_stored_without_publishing(api: Api) -> None:
    """`?publish=false` leaves the published version as it was."""
    await api.put("/flows/greeting", FLOW)
    changed = copy.deepcopy(FLOW) | {"name": "Second"}
    put = await api.put("/flows/greeting", changed, params={"publish": "false"})
    assert (put.data["version"], put.data["published"]) == (2, False)
    assert (await api.get("/flows/greeting")).data["version"] == 1
    assert (await api.get("/flows/greeting", params={"version": "2"})).data["name"] == "Second"
    versions = await api.get("/flows/greeting/versions")
    assert {item["version"]: item["published"] for item in versions.data} == {1: True, 2: False}
    listed = await api.get("/flows")
    assert [(item["id"], item["latestVersion"], item["publishedVersion"]) for item in listed.data] == [
        ("greeting", 2, 1)
    ]
    assert listed.json["nextCursor"] is None


async def test_every_error_of_a_flow_is_listed_with_its_node(api: Api) -> None:
    """422 with `errors`, one each, and nothing is stored."""
    wrong = copy.deepcopy(FLOW)
    wrong["nodes"][1]["data"] = {"text": "{{ nothing.known }}"}
    wrong["edges"].append({"id": "e2", "source": "start", "target": "nowhere"})
    reply = await api.put("/flows/greeting", wrong)
    assert reply.status == 422
    assert len(reply.json["errors"]) >= 2
    assert {"nodeId", "field", "message"} <= set(reply.json["errors"][0])
    assert "hello" in {error.get("nodeId") for error in reply.json["errors"]}
    assert (await api.get("/flows/greeting")).status == 404


async def test_a_flow_is_deleted_once(api: Api) -> None:
    """The second DELETE finds nothing."""
    await api.put("/flows/greeting", FLOW)
    deleted = await api.delete("/flows/greeting")
    assert deleted.data == {"id": "greeting", "deleted": True}
    assert (await api.delete("/flows/greeting")).status == 404
    assert (await api.get("/flows/greeting/versions")).status == 404


async def test_a_text_that_is_no_id_is_rejected(api: Api) -> None:
    """422 for `id` on PUT, 404 on GET."""
    for path in ("/flows/-x", "/webhooks/a%20b", "/channels/%00"):
        document = {"flows": FLOW, "webhooks": {"flowId": "f"}, "channels": {"type": "console"}}[path.split("/")[1]]
        assert (await api.put(path, document)).status in (404, 422)
        assert (await api.get(path)).status == 404


# ---- webhooks --------------------------------------------------------------------------------------


async def test_a_webhook_has_defaults(api: Api) -> None:
    """Only `flowId` must be given."""
    await api.put("/flows/greeting", FLOW)
    put = await api.put("/webhooks/orders", {"flowId": "greeting"})
    assert put.status == 200, put.text
    got = (await api.get("/webhooks/orders")).data
    assert got == put.data
    assert {name: got[name] for name in ("id", "path", "nodeId", "methods", "auth", "rateLimit", "config")} == {
        "id": "orders",
        "path": "orders",
        "nodeId": "start",
        "methods": ["POST"],
        "auth": {"type": "none"},
        "rateLimit": {"max": 100, "windowMs": 60000},
        "config": {},
    }
    assert (got["maxBodyBytes"], got["enabled"]) == (1024 * 1024, True)


async def test_a_webhook_starts_at_the_flows_only_trigger(api: Api) -> None:
    """The default of `nodeId` is the only trigger of the published flow."""
    flow = copy.deepcopy(FLOW)
    flow["nodes"][0]["id"] = "entry"
    flow["edges"][0]["source"] = "entry"
    assert (await api.put("/flows/greeting", flow)).status == 200
    assert (await api.put("/webhooks/orders", {"flowId": "greeting"})).data["nodeId"] == "entry"


async def test_the_answer_of_a_get_can_be_the_body_of_a_put(api: Api) -> None:
    """Masked secrets and read-only fields change nothing."""
    auth = {"type": "meta", "secrets": ["app-secret", "env:SECRET_APP_OLD"], "verifyToken": "verify-me"}
    await api.put("/webhooks/wa?force=true", {"flowId": "greeting", "auth": auth})
    before = await api.context.webhooks.get("wa")
    shown = (await api.get("/webhooks/wa")).data
    assert shown["auth"] == {"type": "meta", "secrets": ["***", "env:SECRET_APP_OLD"], "verifyToken": "***"}
    again = await api.put("/webhooks/wa?force=true", shown)
    assert again.status == 200, again.text
    after = await api.context.webhooks.get("wa")
    assert before is not None
    assert after is not None
    assert after.auth == before.auth
    box = api.context.secret_box
    assert box.open(after.auth["secrets"][0]) == "app-secret"
    assert box.open(after.auth["verifyToken"]) == "verify-me"


async def test_a_mask_without_a_stored_secret_is_rejected(api: Api) -> None:
    """Otherwise `***` would become the secret."""
    reply = await api.put("/webhooks/x?force=true", {"flowId": "f", "auth": {"type": "bearer", "secrets": ["***"]}})
    assert fields_of(reply) == ["auth.secrets[0]"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"auth": {"type": "telepathy"}}, "auth.type"),
        ({"auth": {"type": "bearer"}}, "auth.secrets"),
        ({"auth": {"type": "bearer", "secrets": [""]}}, "auth.secrets[0]"),
        ({"auth": {"type": "bearer", "secrets": ["env:not a name"]}}, "auth.secrets[0]"),
        ({"auth": {"type": "none", "colour": "red"}}, "auth.colour"),
        ({"methods": []}, "methods"),
        ({"methods": ["BREW"]}, "methods[0]"),
        ({"path": "../etc"}, "path"),
        ({"rateLimit": {"max": 0}}, "rateLimit.max"),
        ({"rateLimit": {"max": 1, "windowMs": 0}}, "rateLimit.windowMs"),
        ({"rateLimit": {"maximum": 5}}, "rateLimit.maximum"),
        ({"dedupe": {}}, "dedupe"),
        ({"dedupe": {"path": "a..b"}}, "dedupe.path"),
        ({"dedupe": {"header": "X-Id", "body": True}}, "dedupe"),
        ({"maxBodyBytes": 0}, "maxBodyBytes"),
        ({"colour": "red"}, "colour"),
        ({"flowId": None}, "flowId"),
        ({"id": "another"}, "id"),
    ],
)
async def test_a_wrong_field_of_a_webhook_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    """422 whose `errors` have the path of the field."""
    reply = await api.put("/webhooks/orders?force=true", {"flowId": "greeting", **change})
    assert fields_of(reply) == [field], reply.text
    assert (await api.get("/webhooks/orders")).status == 404


async def test_a_path_belongs_to_one_webhook(api: Api) -> None:
    """409 for the second, which is not stored."""
    await api.put("/webhooks/a?force=true", {"flowId": "f", "path": "orders"})
    reply = await api.put("/webhooks/b?force=true", {"flowId": "f", "path": "orders"})
    assert reply.status == 409, reply.text
    assert (await api.get("/webhooks/b")).status == 404


async def test_webhooks_are_listed_page_by_page(api: Api) -> None:
    """`nextCursor` leads through the list. Each item appears once."""
    for name in ("a", "b", "c"):
        await api.put(f"/webhooks/{name}?force=true", {"flowId": "f"})
    first = await api.get("/webhooks", params={"limit": "2"})
    assert [item["id"] for item in first.data] == ["a", "b"]
    second = await api.get("/webhooks", params={"limit": "2", "cursor": first.json["nextCursor"]})
    assert [item["id"] for item in second.data] == ["c"]
    assert second.json["nextCursor"] is None
    assert fields_of(await api.get("/webhooks", params={"cursor": "nonsense"})) == ["cursor"]


async def test_a_deleted_webhook_is_not_found(api: Api) -> None:
    """It is neither shown nor listed, and a second DELETE answers 404."""
    await api.put("/webhooks/a?force=true", {"flowId": "f"})
    assert (await api.delete("/webhooks/a")).data["deleted"] is True
    assert (await api.get("/webhooks/a")).status == 404
    assert (await api.get("/webhooks")).data == []
    assert (await api.delete("/webhooks/a")).status == 404


# ---- channels --------------------------------------------------------------------------------------


async def test_an_http_channel_masks_its_secret(api: Api) -> None:
    """The answer masks it, the store has it encrypted, and a PUT of the mask keeps it."""
    document = {"type": "http", "url": "https://example.com/messages", "secret": WHSEC}
    put = await api.put("/channels/mine", document)
    assert put.status == 200, put.text
    assert (put.data["type"], put.data["url"], put.data["secret"]) == ("http", document["url"], "***")
    again = await api.put("/channels/mine", put.data | {"url": "https://example.com/other"})
    assert again.status == 200, again.text
    stored = await api.context.channels.get("mine")
    assert stored is not None
    assert stored.config["url"] == "https://example.com/other"
    assert api.context.secret_box.open(stored.config["secret"]) == WHSEC


async def test_a_channels_secret_may_name_a_variable(api: Api) -> None:
    """`env:NAME` is stored and shown as it is."""
    put = await api.put("/channels/mine", {"type": "http", "url": "http://10.0.0.5:9000/x", "secret": "env:SECRET_X"})
    assert put.data["secret"] == "env:SECRET_X"


async def test_a_console_channel_has_only_a_type(api: Api) -> None:
    """It has no settings."""
    await api.put("/channels/console", {"type": "console"})
    listed = await api.get("/channels")
    assert [(item["id"], item["type"]) for item in listed.data] == [("console", "console")]
    assert (await api.delete("/channels/console")).data["deleted"] is True
    assert (await api.get("/channels/console")).status == 404


@pytest.mark.parametrize("type_", ["pigeon", "HTTP", None, 7, ["http"]])
async def test_the_answer_to_an_unknown_type_of_channel_lists_the_types(api: Api, type_: object) -> None:
    """422 for `type`."""
    reply = await api.put("/channels/x", {"type": type_})
    assert fields_of(reply) == ["type"]
    assert "console, email, http" in reply.json["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "example.com/messages"}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://example.com:99999/"}, "url"),
        ({"url": "https://user:password@example.com/"}, "url"),
        ({"url": "https://example.com/\nx"}, "url"),
        ({"secret": "not-a-signing-secret"}, "secret"),
        ({"secret": "whsec_!!!"}, "secret"),
        ({"secret": "whsec_YQ=="}, "secret"),
        ({"secret": "***"}, "secret"),
        ({"secret": "whsec_ção"}, "secret"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_of_a_channel_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    """422 whose `errors` have the field and no secret."""
    reply = await api.put("/channels/x", {"type": "http", "url": "https://example.com/", "secret": WHSEC, **change})
    assert fields_of(reply) == [field], reply.text
    assert "password" not in reply.text.replace("user name or password", "")


# ---- secrets of flows --------------------------------------------------------------------------------


async def test_a_flows_secret_is_never_shown(api: Api) -> None:
    """Only its name is shown. The store has it encrypted."""
    assert (await api.put("/secrets/crm", {"value": "s3cr3t"})).data == {"name": "crm"}
    assert (await api.get("/secrets")).data == ["crm"]
    sealed = (await api.context.secrets.all())["crm"]
    assert "s3cr3t" not in sealed
    assert api.context.secret_box.open(sealed) == "s3cr3t"
    assert (await api.delete("/secrets/crm")).status == 200
    assert (await api.delete("/secrets/crm")).status == 404
    assert (await api.get("/secrets")).data == []


@pytest.mark.parametrize("name", ["a b", "1x", "a.b", "x" * 65])
async def test_a_secrets_name_must_fit_a_template(api: Api, name: str) -> None:
    """`secrets.<name>` must be a valid expression."""
    assert fields_of(await api.put(f"/secrets/{name}", {"value": "x"})) == ["name"]


@pytest.mark.parametrize("document", [{}, {"value": ""}, {"value": "***"}, {"value": 5}, {"value": "env:"}])
async def test_a_secret_needs_a_value(api: Api, document: dict[str, Any]) -> None:
    """422 for `value`."""
    assert fields_of(await api.put("/secrets/crm", document)) == ["value"]


async def test_no_secret_is_in_any_answer(api: Api) -> None:
    """No route shows a stored secret, encrypted or plain."""
    planted = ["planted-bearer", "planted-verify", WHSEC, "planted-flow-secret", SECRET_KEY]
    auth = {"type": "meta", "secrets": [planted[0]], "verifyToken": planted[1]}
    replies = [
        await api.put("/webhooks/w?force=true", {"flowId": "f", "auth": auth}),
        await api.put("/channels/c", {"type": "http", "url": "https://example.com/", "secret": WHSEC}),
        await api.put("/secrets/s", {"value": planted[3]}),
    ]
    for path in ("/webhooks", "/webhooks/w", "/channels", "/channels/c", "/secrets", "/queue/stats", "/events"):
        replies.append(await api.get(path))
    for reply in replies:
        assert reply.status == 200, reply.text
        assert not [secret for secret in [*planted, "enc:"] if secret in reply.text]


@pytest.mark.parametrize(
    ("path", "document", "field"),
    [
        ("/webhooks/w", {"flowId": "f\n"}, "flowId"),
        ("/webhooks/w", {"flowId": "f", "path": "shop\n"}, "path"),
        ("/webhooks/w", {"flowId": "f", "cors": ["https://example.com\n"]}, "cors"),
        ("/webhooks/w", {"flowId": "f", "response": {"contentType": "text/plain\n"}}, "response.contentType"),
        ("/webhooks/w", {"flowId": "f", "response": {"headers": {"X-A": "b\n"}}}, "response.headers"),
        ("/channels/c", {"type": "whatsapp", "phoneNumberId": "1\n", "accessToken": "t"}, "phoneNumberId"),
    ],
)
async def test_a_line_break_at_the_end_of_a_value_is_refused(
    api: Api, path: str, document: dict[str, Any], field: str
) -> None:
    """`$` alone matches before a line break: such a path could not be requested, and such a header ends the headers."""
    found = fields_of(await api.put(f"{path}?force=true" if "webhooks" in path else path, document))
    assert [one.partition("[")[0] for one in found] == [field]


# ---- secrets of a webhook ----------------------------------------------------------------------------


async def test_a_secret_is_added_beside_the_old_one_which_is_then_removed(api: Api) -> None:
    """Step by step: the order stays, nothing else of the definition changes, and no answer shows a secret."""
    auth = {"type": "meta", "secrets": ["old-secret"], "verifyToken": "verify-me"}
    body = {"flowId": "f", "auth": auth, "filter": "body.a == 1", "enabled": False}
    before = (await api.put("/webhooks/x?force=true", body)).data
    added = await api.post("/webhooks/x/secrets", {"secret": "new-secret"})
    assert added.data["auth"] == {"type": "meta", "secrets": ["***", "***"], "verifyToken": "***"}
    removed = await api.delete("/webhooks/x/secrets/0")
    assert removed.data["auth"]["secrets"] == ["***"]
    stored = await api.context.webhooks.get("x")
    assert stored is not None
    box = api.context.secret_box
    assert [box.open(secret) for secret in stored.auth["secrets"]] == ["new-secret"]
    assert box.open(stored.auth["verifyToken"]) == "verify-me"
    for name in ("filter", "enabled", "rateLimit", "methods", "url"):
        assert removed.data[name] == before[name], name
    entries = await api.get("/audit?subject=webhooks/x")
    assert "new-secret" not in entries.text
    assert "old-secret" not in entries.text


async def test_the_last_secret_and_one_that_is_not_there_are_not_removed(api: Api) -> None:
    """A webhook without secrets has no such routes."""
    await api.put("/webhooks/x?force=true", {"flowId": "f", "auth": {"type": "github", "secrets": ["one"]}})
    assert (await api.delete("/webhooks/x/secrets/0")).status == 409
    for place in ("1", "-1", "²", "x"):
        assert (await api.delete(f"/webhooks/x/secrets/{place}")).status == 404
    for secret in ("", "***", "env:not a name"):
        assert fields_of(await api.post("/webhooks/x/secrets", {"secret": secret})) == ["secret"]
    await api.put("/webhooks/open?force=true", {"flowId": "f"})
    assert (await api.post("/webhooks/open/secrets", {"secret": "a"})).status == 409
    assert (await api.post("/webhooks/none/secrets", {"secret": "a"})).status == 404


async def test_an_answer_has_the_public_address_of_the_webhook(api: Api) -> None:
    """It is to be configured at the sender, and is accepted and ignored in a PUT."""
    await api.put("/webhooks/x?force=true", {"flowId": "f", "path": "orders.v1"})
    shown = (await api.get("/webhooks/x")).data
    assert shown["url"] == "http://localhost:8080/webhooks/orders.v1"
    assert [one["url"] for one in (await api.get("/webhooks")).data] == [shown["url"]]
    assert shown["lastEventAt"] is None
    await api.context.webhook_cache.refresh()
    for number in range(2):
        await api.post("/events", {"events": [{"webhookId": "x", "body": {"id": number}}]})
    await api.context.acceptor.drain()
    newest = (await api.get("/events?webhookId=x")).data[0]["receivedAt"]
    shown = (await api.get("/webhooks/x")).data
    assert shown["lastEventAt"] == newest
    assert (await api.put("/webhooks/x?force=true", shown)).data["url"] == shown["url"]
