"""The pages of channels: the form covers every field, each error is at its field, and each action has its effect."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.channel_circuits import ChannelReport
from filas.contract.channel_retry import ChannelRetry
from filas.contract.policies import NOTIFICATIONS
from filas.messages.catalogue import LANGUAGES
from filas.queue.channel_circuits import ChannelCircuits
from ingest.api.definitions.channel_fields import SECRET_FIELDS, SHOWN_FIELDS, TYPES, ChannelBody
from ingest.dashboard.definition_forms.form_fields import Secret
from ingest.dashboard.pages.channels.channel_form import TEST, channel_form, credentials_form
from ingest.dashboard.pages.channels.channel_presets import PRESETS
from ingest.dashboard.presentation.texts import Reader, page_messages
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_channels import CHANNELS
from tests.ingest.dashboard.browsing import Browser, signed_in
from tests.ingest.dashboard.test_definition_forms import READER
from tests.ingest.dashboard.webhooks.test_webhook_pages import is_marked, names_of
from tests.notifier.rows import add_notification

NEW = "/dashboard/channels/new"
BODIES = {str(body.__struct_config__.tag): body for body in ChannelBody.__args__}


@pytest.mark.parametrize("kind", TYPES)
def test_the_form_has_every_field_of_the_type(kind: str) -> None:
    """And each secret is a field that shows none."""
    form = channel_form(kind)
    found = {one.path for one in form.fields}
    expected = names_of(BODIES[kind]) - (SHOWN_FIELDS | {"retry"})
    assert found == expected | names_of(ChannelRetry, "retry.")
    assert {one.path for one in form.fields if isinstance(one, Secret)} == set(SECRET_FIELDS.get(kind, ()))
    credentials = credentials_form(kind)
    assert {one.path for one in credentials.fields} == set(SECRET_FIELDS[kind]) if credentials else kind == "console"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_and_step_has_a_text(language: Any) -> None:
    """Also how a recipient of each type is written."""
    reader = Reader(language, READER.zone, "UTC")
    known = page_messages(language)
    for form in (*(channel_form(kind, is_new=True) for kind in TYPES), *(credentials_form(k) for k in TYPES), TEST):
        if form is not None:
            view = form.show(reader)
            assert all(view.group_text(group) for group in form.groups)
            assert all(view.label(one) for one in form.fields)
    for preset in PRESETS:
        assert preset.steps(reader), preset.name
        assert {f"channel-presets.{preset.name}", f"channel-presets.{preset.name}-about"} <= known.keys()
    assert {f"channel-recipients.{kind}" for kind in TYPES} <= known.keys()
    assert {preset.kind for preset in PRESETS} == set(TYPES)


def typed_of(fields: dict[str, Any]) -> dict[str, str]:
    """What a user types for a definition."""
    retry = fields.get("retry", {})
    plain = {name: str(value) for name, value in fields.items() if name != "retry"}
    return (
        plain
        | {f"retry.{name}": str(value) for name, value in retry.items()}
        | ({"retry.delayMs.unit": "ms", "retry.forMs.unit": "ms"} if retry else {})
    )


async def test_a_channel_of_each_type_is_created_changed_and_kept(api: Api, browser: Browser) -> None:
    """The API shows what was typed. Submitted as it is shown, nothing changes, also not the secrets."""
    for preset in PRESETS:
        fields = CHANNELS[preset.kind]
        if preset.name == "slack-webhook":
            fields = {"webhookUrl": "https://hooks.slack.example/planted"}
        page = await browser.open(f"/channels/new?type={preset.name}")
        blank = {"from": ""} if preset.kind == "twilio" else {}
        done = await browser.submit(page, NEW, blank | {"id": f"my-{preset.name}"} | typed_of(fields))
        assert done.url == f"/dashboard/channels/my-{preset.name}"
        assert "planted" not in done.html
        stored = (await api.get(f"/channels/my-{preset.name}")).data
        secrets = SECRET_FIELDS.get(preset.kind, ())
        assert stored["type"] == preset.kind
        shown = {name: value for name, value in fields.items() if name not in secrets}
        assert {name: stored[name] for name in shown} == shown
        sealed = (await api.context.channels.get(f"my-{preset.name}")).config  # type: ignore[union-attr]
        form = await browser.open(f"/channels/my-{preset.name}?show=definition")
        await browser.submit(form, f"/dashboard/channels/my-{preset.name}")
        assert (await api.context.channels.get(f"my-{preset.name}")).config == sealed  # type: ignore[union-attr]


WRONG: tuple[tuple[str, dict[str, str], str], ...] = (
    ("whatsapp", {"accessToken": ""}, "accessToken"),
    ("whatsapp", {"phoneNumberId": "a b"}, "phoneNumberId"),
    ("whatsapp", {"listLabel": "x" * 21}, "listLabel"),
    ("whatsapp", {"baseUrl": "graph"}, "baseUrl"),
    ("whatsapp", {"rate": "-1"}, "rate"),
    ("whatsapp", {"rate": "fast"}, "rate"),
    ("whatsapp", {"retry.maxAttempts": "0"}, "retry.maxAttempts"),
    ("whatsapp", {"retry.forMs": "2", "retry.forMs.unit": "d"}, "retry.forMs"),
    ("telegram", {"botToken": "no token!"}, "botToken"),
    ("slack", {"webhookUrl": "https://hooks.slack.example/x"}, "botToken"),
    ("twilio", {"from": ""}, "from"),
    ("email", {"from": "no address"}, "from"),
    ("email", {"port": "70000"}, "port"),
    ("http", {"secret": "short"}, "secret"),
    ("http", {"url": "ftp://x"}, "url"),
    ("http", {"id": ""}, "id"),
    ("http", {"id": "a b"}, ""),
    ("http", {"id": "new"}, "id"),
    ("http", {"id": "taken"}, "id"),
)


async def test_a_wrong_field_has_its_error_beside_it(api: Api, browser: Browser) -> None:
    """Nothing is stored, and no secret is shown again."""
    await api.put("/channels/taken", {"type": "console"})
    for kind, typed, field in WRONG:
        page = await browser.open(f"/channels/new?type={kind}")
        good = {"id": "mine"} | typed_of(CHANNELS[kind])
        wrong = await browser.submit(page, NEW, good | typed, status=422)
        if field:
            assert is_marked(wrong, field), (kind, typed, wrong.text)
        assert "Nothing was saved" in wrong.text, typed
        assert "planted" not in wrong.html
    assert [one["id"] for one in (await api.get("/channels")).data] == ["taken"]


async def paused(api: Api, channel_id: str) -> None:
    """Its provider asks for a pause."""
    report = ChannelReport(channel_id=channel_id, id="1", outcome="busy", pause_s=60.0)
    await ChannelCircuits(api.redis).report(report)


async def test_the_page_shows_the_state_and_resumes_the_channel(api: Api, browser: Browser) -> None:
    """The button is there while the channel is paused."""
    await api.put("/channels/mail", {"type": "console"})
    await add_notification(api.database, channel_id="mail", recipient="ana@example.com")
    await paused(api, "mail")
    listed = await browser.open("/channels")
    assert "paused by the provider" in listed.text
    page = await browser.open("/channels/mail")
    assert "Waiting messages" in page.text
    assert "ana@example.com" in page.text
    done = await browser.submit(page, "/dashboard/channels/mail/resume")
    assert "is resumed" in done.text
    assert (await api.get("/channels/mail")).data["circuit"]["state"] == "closed"
    assert "/dashboard/channels/mail/resume" not in {form.action for form in done.forms}


async def test_a_test_message_is_queued(api: Api, browser: Browser) -> None:
    """The notification and its job have what was typed; the list shows it."""
    await api.put("/channels/mail", {"type": "console"})
    page = await browser.open("/channels/mail")
    for typed, field in (({"to": ""}, "to"), ({"to": "ana@example.com", "text": " "}, "text")):
        wrong = await browser.submit(page, "/dashboard/channels/mail/test", typed, status=422)
        assert is_marked(wrong, field)
    assert (await api.get("/notifications")).data == []
    done = await browser.submit(page, "/dashboard/channels/mail/test", {"to": "ana@example.com", "text": "Olá"})
    assert "The test message is queued" in done.text
    assert "ana@example.com" in done.text
    [notification] = (await api.get("/notifications?channelId=mail")).data
    assert (notification["recipient"], notification["payload"]["text"]) == ("ana@example.com", "Olá")
    [job] = (await api.get(f"/queue/{NOTIFICATIONS.short}/jobs?state=waiting")).data
    assert UUID(job["data"]["notificationId"]) == UUID(notification["id"])


async def test_credentials_are_replaced_and_nothing_else(api: Api, browser: Browser) -> None:
    """A blank one stays. The new one is stored encrypted."""
    await api.put("/channels/mine", {"type": "telegram", "botToken": "1:planted", "rate": 3})
    page = await browser.open("/channels/mine?show=credentials")
    action = "/dashboard/channels/mine/credentials"
    assert is_marked(await browser.submit(page, action, {"botToken": "not a token!"}, status=422), "botToken")
    done = await browser.submit(page, action, {"botToken": "2:planted-new"})
    assert "planted" not in done.html
    stored = await api.context.channels.get("mine")
    assert stored is not None
    assert api.context.secret_box.open(stored.config["botToken"]) == "2:planted-new"
    assert stored.config["rate"] == 3
    await browser.submit(page, action, {"botToken": ""})
    kept = await api.context.channels.get("mine")
    assert kept is not None
    assert kept.config == stored.config
    await api.put("/channels/console", {"type": "console"})
    assert "has no credentials" in (await browser.open("/channels/console?show=credentials")).text


async def test_a_channel_that_is_used_is_deleted_only_on_purpose(api: Api, browser: Browser) -> None:
    """The page lists what uses it."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/channels/mail", {"type": "console"})
    rule = {"channel": "mail", "contact": "{{ body.from }}"}
    assert (await api.put("/webhooks/orders", {"flowId": "greeting", "conversation": rule})).status == 200
    page = await browser.open("/channels/mail")
    refused = await browser.submit(page, "/dashboard/channels/mail/delete", status=409)
    assert "/dashboard/webhooks/orders" in refused.links
    assert (await api.get("/channels/mail")).status == 200
    await browser.post("/channels/mail/delete", {"force": "true"}, status=200)
    assert (await api.get("/channels/mail")).status == 404


async def test_a_channel_of_a_newer_version_is_shown_without_a_form(api: Api, browser: Browser) -> None:
    """Its texts are masked, because each may be a secret."""
    await api.put("/channels/mail", {"type": "console"})
    changed = """update channels set type = 'pigeon', config = '{"loft": "planted"}' where id = 'mail'"""
    await api.database.fetch(changed)
    for tab in ("messages", "definition", "credentials"):
        page = await browser.open(f"/channels/mail?show={tab}")
        assert "planted" not in page.html
    assert "newer version" in (await browser.open("/channels/mail?show=definition")).text
    await browser.post("/channels/mail", {}, status=404)


async def test_each_role_can_do_what_the_api_allows(api: Api) -> None:
    """Admins edit, operators resume and send tests, viewers read."""
    await api.put("/channels/mine", {"type": "telegram", "botToken": "1:planted"})
    await paused(api, "mine")
    address = "/dashboard/channels/mine"
    for role in ("viewer", "operator"):
        key = (await api.post("/keys", {"name": role, "role": role})).data["key"]
        await api.context.access.keys.refresh()
        async with signed_in(api, key) as browser:
            page = await browser.open("/channels/mine")
            actions = {form.action for form in page.forms}
            assert (f"{address}/test" in actions, f"{address}/resume" in actions) == (role == "operator",) * 2
            assert f"{address}/delete" not in actions
            assert f"your role is {role}" in page.text
            for path in ("/channels/mine", "/channels/mine/delete", "/channels/mine/credentials", "/channels/none"):
                await browser.post(path, {"botToken": "2:other"}, status=403)
            created = {"preset": "console", "id": "other"}
            await browser.post("/channels/new", created, status=403)
            status = 403 if role == "viewer" else 200
            await browser.post("/channels/mine/test", {"to": "1", "text": "x"}, status=status)
            await browser.post("/channels/mine/resume", status=status)


async def test_an_empty_list_leads_to_the_form(browser: Browser) -> None:
    """And the form to each provider."""
    assert "/dashboard/channels/new" in (await browser.open("/channels")).links
    page = await browser.open("/channels/new")
    assert {f"/dashboard/channels/new?type={preset.name}" for preset in PRESETS} <= set(page.links)


def test_the_fields_that_answers_add_are_no_fields_of_the_form() -> None:
    """They change nothing when they are sent."""
    for body in BODIES.values():
        assert SHOWN_FIELDS - {"type"} <= {one.encode_name for one in msgspec.structs.fields(body)}
