"""The pages of webhooks: the form covers every field, each error is at its field, and each action has its effect."""

import json
import re
from typing import Any

import msgspec
import pytest

from filas.messages.catalogue import LANGUAGES
from filas.models.configuration import (
    ConversationRule,
    Dedupe,
    FilterRule,
    HandshakeRule,
    RateLimit,
    WebhookFilter,
    WebhookResponse,
)
from ingest.api.definitions.webhook_routes import WebhookBody
from ingest.dashboard.definition_forms.definition_form import DefinitionForm
from ingest.dashboard.definition_forms.list_fields import Choice, Choices, Rows
from ingest.dashboard.pages.webhooks.provider_presets import PRESETS
from ingest.dashboard.pages.webhooks.webhook_form import webhook_form
from ingest.dashboard.presentation.texts import Reader, page_messages
from ingest.verify.auth_types import CONFIGURATIONS
from ingest.verify.hmac_signature import SignaturePlace
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.dashboard.browsing import Browser, Page, signed_in
from tests.ingest.dashboard.test_definition_forms import READER

NEW = "/dashboard/webhooks/new"
SHOWN_ONLY = {"id", "url", "lastEventAt", "warnings", "revision", "createdAt", "updatedAt"}


def paths_of(form: DefinitionForm) -> set[str]:
    """The paths of all fields, those of the columns of rows included."""
    found = {one.path for one in form.fields}
    rows = [one for one in form.fields if isinstance(one, Rows) and one.shape == "objects"]
    return found | {f"{one.path}.{column.path}" for one in rows for column in one.columns}


def names_of(struct: type[msgspec.Struct], prefix: str = "") -> set[str]:
    return {prefix + one.encode_name for one in msgspec.structs.fields(struct)}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_form_has_every_field_of_the_definition(kind: str) -> None:
    """Of the body, of its objects, and of the authentication with this type."""
    found = paths_of(webhook_form(kind, flows={}))
    tops = {path.partition(".")[0] for path in found}
    assert tops == names_of(WebhookBody) - SHOWN_ONLY
    for name, struct in (
        ("rateLimit", RateLimit), ("dedupe", Dedupe), ("conversation", ConversationRule), ("filter", WebhookFilter),
        ("response", WebhookResponse), ("handshake", HandshakeRule), ("filter.rules", FilterRule),
    ):  # fmt: skip
        assert names_of(struct, f"{name}.") <= found, name
    auth = {path for path in found if path.startswith("auth.")}
    expected = names_of(CONFIGURATIONS[kind], "auth.")
    if kind == "hmac":
        expected = expected - {"auth.signature"} | names_of(SignaturePlace, "auth.signature.")
    assert auth == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_and_value_has_a_text(language: Any) -> None:
    """A missing one would be an error on the page, or a name of the API beside words."""
    reader = Reader(language, READER.zone, "UTC")
    known = page_messages(language)
    for kind in CONFIGURATIONS:
        form = webhook_form(kind, flows={}, is_new=True)
        view = form.show(reader)
        for group in form.groups:
            assert view.group_text(group)
            for one in group.fields:
                assert view.label(one)
                if isinstance(one, Rows):
                    assert all(view.label(column, one) for column in one.columns)
                if isinstance(one, (Choice, Choices)) and one.words:
                    assert {f"{one.words}.{value}" for value in one.options} <= known.keys()
    for preset in PRESETS:
        assert {f"webhook-presets.{preset.name}", f"webhook-presets.{preset.name}-about"} <= known.keys()
        steps = preset.steps(reader, url="https://a.example/webhooks/b", webhook_id="b")
        assert len(steps) >= 2, preset.name
        assert any("https://a.example/webhooks/b" in step for step in steps), preset.name


SECRETS = {
    "standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "password": "user:password",
    "pagarme": "user:password",
}


async def test_each_preset_is_saved_with_only_a_flow_and_its_secrets(api: Api, browser: Browser) -> None:
    """Its form has the rest. The page of the webhook then shows the steps with its address."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/channels/whatsapp", {"type": "console"})
    for preset in PRESETS:
        page = await browser.open(f"/webhooks/new?provider={preset.name}")
        secret = SECRETS.get(preset.name, "the-secret-1")
        typed = {} if preset.name == "open" else {"auth.secrets[0]": secret}
        done = await browser.submit(page, NEW, typed)
        assert done.url == f"/dashboard/webhooks/{preset.name}"
        stored = (await api.get(f"/webhooks/{preset.name}")).data
        assert (stored["auth"]["type"], stored["flowId"]) == (preset.auth_type, "greeting")
        for name in ("dedupe", "filter", "conversation"):
            assert (stored[name] is not None) == (name in preset.definition), (preset.name, name)
        assert secret not in done.html
        assert stored["url"] in done.text
        assert f"webhook {preset.name} is stored" in done.text


async def test_every_field_of_a_webhook_survives_the_form(api: Api, browser: Browser) -> None:
    """Submitted as it is shown, nothing changes, also not the secrets."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/channels/console", {"type": "console"})
    full = {
        "flowId": "greeting", "nodeId": "start", "path": "orders.v1", "methods": ["HEAD", "POST"],
        "auth": {"type": "hmac", "secrets": ["one", "two"], "template": "{timestamp}.{body}", "algorithm": "sha512",
                 "signature": {"in": "query", "name": "sig", "pattern": "t={timestamp},v1={signature}"},
                 "toleranceSeconds": 300},
        "rateLimit": {"max": 7, "windowMs": 90_000}, "dedupe": {"path": "order.id"},
        "conversation": {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}",
                         "role": "event", "accept": ["edit", "echo"]},
        "config": {"big": 2**60, "list": [1, None]}, "maxBodyBytes": 5000, "enabled": False,
        "response": {"status": 202, "contentType": "text/plain", "body": "ok\nthen", "headers": {"X-A": "1"}},
        "handshake": {"query": "validationToken"}, "cors": ["https://shop.example"], "body": "json",
        "signedBody": "decoded",
        "filter": {"logic": "or", "rules": [
            {"variable": "{{ body.a }}", "operator": "equals", "value": "1"},
            {"variable": "{{ body.b }}", "operator": "greater-than", "value": 2, "exact": True, "locale": "pt-BR"}]},
    }  # fmt: skip
    put = await api.put("/webhooks/orders", full)
    assert put.status == 200, put.text
    sealed = (await api.context.webhooks.get("orders")).auth["secrets"]  # type: ignore[union-attr]
    page = await browser.open("/webhooks/orders?show=definition")
    await browser.submit(page, "/dashboard/webhooks/orders", {})
    stored = (await api.get("/webhooks/orders")).data
    left_out = {"revision", "updatedAt", "warnings"}
    assert {key: one for key, one in stored.items() if key not in left_out} == {
        key: one for key, one in put.data.items() if key not in left_out
    }
    assert (await api.context.webhooks.get("orders")).auth["secrets"] == sealed  # type: ignore[union-attr]


def is_marked(page: Page, name: str) -> bool:
    """Whether the field is invalid and has its error beside it."""
    place = "field-" + name.replace("[", "-").replace("]", "").replace(".", "-")
    found = re.search(rf'<[^>]* id="{place}"[^>]*>', page.html)
    assert found is not None, place
    return 'aria-invalid="true"' in found[0] and f'id="{place}-error"' in page.html


WRONG: tuple[tuple[dict[str, str], str | None], ...] = (
    ({"flowId": ""}, "flowId"),
    ({"path": "a b"}, "path"),
    ({"nodeId": "none"}, "nodeId"),
    ({"auth.secrets[0]": ""}, "auth.secrets"),
    ({"auth.secrets[0]": "env:not a name"}, "auth.secrets[0]"),
    ({"auth.header": "no header"}, "auth.header"),
    ({"auth.template": "{bdy}"}, None),
    ({"auth.toleranceSeconds": "0"}, "auth.toleranceSeconds"),
    ({"rateLimit.max": "0"}, "rateLimit.max"),
    ({"rateLimit.max": "many"}, "rateLimit.max"),
    ({"rateLimit.windowMs": "999", "rateLimit.windowMs.unit": "d"}, "rateLimit.windowMs"),
    ({"maxBodyBytes": "0"}, "maxBodyBytes"),
    ({"conversation.channel": "none"}, "conversation.channel"),
    ({"conversation.contact": "{{ body.from"}, "conversation.contact"),
    ({"filter.expression": "body.a =="}, "filter.expression"),
    ({"filter.rules[0].variable": "{{ body.a", "filter.rules[0].operator": "equals"}, "filter.rules[0].variable"),
    ({"dedupe.path": "a..b"}, "dedupe.path"),
    ({"dedupe.path": "a", "dedupe.header": "X-Id"}, None),
    ({"config": "[1]"}, "config"),
    ({"cors[0].value": "shop.example"}, "cors[0].value"),
    ({"response.status": "404"}, "response.status"),
    ({"response.headers[0].name": "a b", "response.headers[0].value": "1"}, None),
)


async def test_a_wrong_field_has_its_error_beside_it(api: Api, browser: Browser) -> None:
    """Nothing is stored. An error that is about several fields is at their group. What was typed stays."""
    await api.put("/flows/greeting", FLOW)
    page = await browser.open("/webhooks/new?provider=signed")
    for typed, field in WRONG:
        wrong = await browser.submit(page, NEW, {"id": "orders", "auth.secrets[0]": "geheim-1"} | typed, status=422)
        if field is not None:
            assert is_marked(wrong, field), (typed, wrong.text)
        else:
            group = next(iter(typed)).partition(".")[0]
            assert re.search(rf'id="field-{group}(-headers)?-error"', wrong.html), (typed, wrong.text)
        assert "Nothing was saved" in wrong.text
        assert "geheim" not in wrong.html
        shown = {name: value.removeprefix("\n") for name, value in wrong.form(NEW).fields.items()}
        assert {name: shown.get(name) for name in typed if "secrets" not in name}.items() <= typed.items(), typed
    assert (await api.get("/webhooks/orders")).status == 404


async def test_a_new_webhook_needs_an_id_that_is_free(api: Api, browser: Browser) -> None:
    """It would replace another one."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting"})
    page = await browser.open("/webhooks/new?provider=open")
    for webhook_id in ("", "orders", "new"):
        assert is_marked(await browser.submit(page, NEW, {"id": webhook_id}, status=422), "id")


async def test_another_kind_of_authentication_shows_its_fields(api: Api, browser: Browser) -> None:
    """The button shows the form again. The secrets of the kind before are not those of the new one."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "auth": {"type": "github", "secrets": ["one"]}})
    action = "/dashboard/webhooks/orders"
    page = await browser.open("/webhooks/orders?show=definition")
    assert "auth.verifyToken" not in page.form(action).fields
    again = await browser.submit(page, action, {"auth.type": "meta", "_do": "again"})
    assert "auth.verifyToken" in again.form(action).fields
    wrong = await browser.submit(again, action, {}, status=422)
    assert is_marked(wrong, "auth.secrets")
    await browser.submit(wrong, action, {"auth.secrets[0]": "app", "auth.verifyToken": "token"})
    assert (await api.get("/webhooks/orders")).data["auth"] == {
        "type": "meta",
        "secrets": ["***"],
        "verifyToken": "***",
    }


async def test_a_webhook_of_a_missing_flow_is_stored_if_the_user_insists(api: Api, browser: Browser) -> None:
    """The button appears after the refusal."""
    await api.put("/webhooks/orders?force=true", {"flowId": "later"})
    action = "/dashboard/webhooks/orders"
    page = await browser.open("/webhooks/orders?show=definition")
    refused = await browser.submit(page, action, {"rateLimit.max": "5"}, status=422)
    assert is_marked(refused, "flowId")
    assert "Save although these are wrong" in refused.text
    await browser.submit(refused, action, {"_do": "force"})
    assert (await api.get("/webhooks/orders")).data["rateLimit"]["max"] == 5


async def test_the_list_shows_figures_and_leads_to_the_webhook(api: Api, browser: Browser) -> None:
    """And an empty list to the form."""
    empty = await browser.open("/webhooks")
    assert "No webhooks yet" in empty.text
    assert "/dashboard/webhooks/new" in empty.links
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "auth": {"type": "stripe", "secrets": ["whsec_1"]}})
    await api.put("/webhooks/off", {"flowId": "greeting", "enabled": False})
    page = await browser.open("/webhooks")
    assert "/dashboard/webhooks/orders" in page.links
    assert "disabled" in page.text
    assert "Stripe" in page.text


async def test_a_test_event_is_accepted_and_marked(api: Api, browser: Browser) -> None:
    """It leads to the event, whose header names who sent it. The body is sent as it was typed."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "auth": {"type": "github", "secrets": ["one"]}})
    await api.context.webhook_cache.refresh()
    page = await browser.open("/webhooks/orders")
    typed = '{"id": 9223372036854775807, "text": "olá"}'
    sent = await browser.submit(page, "/dashboard/webhooks/orders/test", {"body": typed})
    assert "The test event was accepted" in sent.text
    event_id = sent.url.rpartition("/")[2]
    event = (await api.get(f"/events/{event_id}")).data
    assert json.loads(event["body"]) == {"id": 2**63 - 1, "text": "olá"}
    assert {name.lower(): value for name, value in event["headers"].items()}["x-filas-test"] == "admin token"
    listed = await browser.open("/webhooks/orders")
    assert event_id[-8:] in listed.text


async def test_a_wrong_test_event_is_shown_again(api: Api, browser: Browser) -> None:
    """With the reason at the field: what is not JSON, and what the webhook does not accept."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "maxBodyBytes": 40})
    await api.put("/webhooks/off", {"flowId": "greeting", "enabled": False})
    await api.context.webhook_cache.refresh()
    for name, typed, reason in (
        ("orders", '{"a":', "not JSON"), ("orders", json.dumps("x" * 50), "40"), ("off", "{}", "disabled"),
    ):  # fmt: skip
        page = await browser.open(f"/webhooks/{name}")
        action = f"/dashboard/webhooks/{name}/test"
        wrong = await browser.submit(page, action, {"body": typed}, status=422)
        assert wrong.form(action).fields["body"].removeprefix("\n") == typed
        assert 'id="test-body-error"' in wrong.html
        assert reason in wrong.text
    assert (await api.get("/events")).data == []


async def test_secrets_are_rotated_step_by_step(api: Api, browser: Browser) -> None:
    """The new one is stored beside the old one, which is then removed. No page shows one."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "auth": {"type": "github", "secrets": ["geheim-old"]}})
    page = await browser.open("/webhooks/orders?show=secrets")
    assert "there is nothing to remove" in page.text
    wrong = await browser.submit(page, "/dashboard/webhooks/orders/secrets", {"secret": "env:no name"}, status=422)
    assert 'id="new-secret-error"' in wrong.html
    added = await browser.submit(page, "/dashboard/webhooks/orders/secrets", {"secret": "geheim-new"})
    assert "Requests with the old one are still accepted" in added.text
    assert "geheim" not in added.html
    removed = await browser.submit(added, "/dashboard/webhooks/orders/secrets/0/remove")
    assert "there is nothing to remove" in removed.text
    stored = await api.context.webhooks.get("orders")
    assert stored is not None
    assert [api.context.secret_box.open(one) for one in stored.auth["secrets"]] == ["geheim-new"]


async def test_a_webhook_is_disabled_enabled_and_deleted(api: Api, browser: Browser) -> None:
    """Also one whose flow is missing. What is lost is stated before."""
    await api.put("/webhooks/orders?force=true", {"flowId": "later", "auth": {"type": "github", "secrets": ["one"]}})
    sealed = (await api.context.webhooks.get("orders")).auth  # type: ignore[union-attr]
    page = await browser.open("/webhooks/orders")
    page = await browser.submit(page, "/dashboard/webhooks/orders/enabled")
    assert (await api.get("/webhooks/orders")).data["enabled"] is False
    assert "answers 404 from now on" in page.text
    page = await browser.submit(page, "/dashboard/webhooks/orders/enabled")
    assert (await api.get("/webhooks/orders")).data["enabled"] is True
    assert (await api.context.webhooks.get("orders")).auth == sealed  # type: ignore[union-attr]
    assert "its secrets are lost" in page.text
    gone = await browser.submit(page, "/dashboard/webhooks/orders/delete")
    assert gone.url == "/dashboard/webhooks"
    assert (await api.get("/webhooks/orders")).status == 404


async def test_the_page_has_the_command_and_no_secret(api: Api, browser: Browser) -> None:
    """With the address of this server, and a note that it is not public."""
    await api.put("/flows/greeting", FLOW)
    auth = {"type": "meta", "secrets": ["geheim-1"], "verifyToken": "geheim-2"}
    await api.put("/webhooks/whatsapp", {"flowId": "greeting", "auth": auth})
    page = await browser.open("/webhooks/whatsapp")
    assert "openssl dgst -sha256" in page.text
    assert "FILAS_WEBHOOK_SECRET" in page.text
    assert "http://localhost:8080/webhooks/whatsapp" in page.text
    assert "Set PUBLIC_URL" in page.text
    assert "wamid" in page.form("/dashboard/webhooks/whatsapp/test").fields["body"]
    instagram = await browser.open("/webhooks/whatsapp?provider=instagram")
    assert "messaging_postbacks" in instagram.text
    for one in (page, instagram, await browser.open("/webhooks/whatsapp?show=secrets")):
        assert "geheim" not in one.html


async def test_each_role_can_do_what_the_api_allows(api: Api) -> None:
    """Admins edit, operators send tests, viewers read. What is missing is explained, and refused."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/webhooks/orders", {"flowId": "greeting", "auth": {"type": "github", "secrets": ["one"]}})
    await api.context.webhook_cache.refresh()
    address = "/dashboard/webhooks/orders"
    for role in ("viewer", "operator"):
        key = (await api.post("/keys", {"name": role, "role": role})).data["key"]
        await api.context.access.keys.refresh()
        async with signed_in(api, key) as browser:
            page = await browser.open("/webhooks/orders")
            actions = {form.action for form in page.forms}
            assert (f"{address}/test" in actions) == (role == "operator")
            assert not actions & {f"{address}/delete", f"{address}/enabled"}
            assert f"your role is {role}" in page.text
            form = await browser.open("/webhooks/orders?show=definition")
            assert '<fieldset class="bare-set" disabled>' in form.html
            assert f"{address}/secrets" not in {
                one.action for one in (await browser.open("/webhooks/orders?show=secrets")).forms
            }
            for path in ("/orders", "/orders/delete", "/orders/secrets", "/new", "/none", "/none/enabled"):
                fields = {"auth.type": "none", "flowId": "greeting", "secret": "x", "id": "other"}
                await browser.post(f"/webhooks{path}", fields, status=403)
            await browser.post("/webhooks/orders/test", {"body": "{}"}, status=403 if role == "viewer" else 200)
    assert (await api.get("/webhooks/orders")).data["auth"]["secrets"] == ["***"]
