"""What is done with webhooks and channels, by mouse and by keyboard, with its effect in the database."""

import pytest
from playwright.async_api import expect

from ingest.dashboard.pages.channels.channel_presets import PRESETS as CHANNEL_PRESETS
from ingest.dashboard.pages.webhooks.provider_presets import PRESETS
from tests.browser.clinic import Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.long_form import by_form

STORED = """
select 1 from webhooks where id = $1 and auth->>'type' = $2 and flow_id = 'recepcao' and not deleted and enabled"""
SECRETS = "select 1 from webhooks where id = $1 and json_array_length(auth->'secrets') = $2"
GONE = "select 1 from webhooks where id = $1 and deleted"
ROWS = "select 1 from webhooks where id = $1 and options->'cors' is not null and json_array_length(options->'cors') = 2"
TESTED = "select id::text from events where webhook_id = $1 and headers::text ilike '%x-filas-test%'"
CHANNEL = "select 1 from channels where id = $1 and type = 'console' and not deleted"
CHANNEL_GONE = "select 1 from channels where id = $1 and deleted"
SENT = "select 1 from notifications where channel_id = $1 and recipient = 'ana' and payload->>'text' = 'Olá'"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

by = pytest.mark.parametrize("how", HOWS)


@by
async def test_a_whatsapp_webhook_is_made_tested_and_deleted(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """From the list: the sender, a form with an error at its field, a test event, another secret, and the deletion."""
    webhook_id = f"whatsapp-{how}"
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open("/webhooks")
        hands = Hands(page, how)
        await hands.press(page.locator("main a.primary"))
        await hands.press(page.locator("a[href$='provider=whatsapp']"))
        await expect(page.locator(".steps li")).to_have_count(6)
        await hands.write(page.locator("#field-id"), webhook_id)
        await hands.choose(page.locator("#field-flowId"), "recepcao")
        await hands.write(page.locator("#field-auth-verifyToken"), "verify-me")
        visitor.watch.expect("422 (")
        await hands.press(page.locator("form.definition .actions button.primary"))
        # Without the app secret, the error is at its field.
        await expect(page.locator("#field-auth-secrets-error")).to_be_visible()
        await expect(page.locator("#field-id")).to_have_value(webhook_id)
        await hands.write(page.locator("#field-auth-secrets-0"), "the-app-secret")
        await hands.write(page.locator("#field-auth-verifyToken"), "verify-me")
        await hands.press(page.locator("form.definition .actions button.primary"))
        await page.wait_for_url(f"**/webhooks/{webhook_id}?provider=whatsapp")
        await clinic.until(STORED, webhook_id, "meta")
        await hands.press(page.locator("#test-event button.primary"))
        event_id = await clinic.until(TESTED, webhook_id)
        await page.wait_for_url(f"**/dashboard/events/{event_id}")
        page = await visitor.open(f"/webhooks/{webhook_id}?show=secrets")
        await hands.write(page.locator("#new-secret"), "another-secret")
        await hands.press(page.locator(".rotation form.definition button"))
        await clinic.until(SECRETS, webhook_id, 2)
        await hands.press(page.locator(".rotation details.confirm summary").first)
        await hands.press(page.locator(".rotation details.confirm button.danger").first)
        await clinic.until(SECRETS, webhook_id, 1)
        await hands.press(page.locator(".actions details.confirm summary").last)
        await hands.press(page.locator(".actions details.confirm button.danger").last)
        await clinic.until(GONE, webhook_id)


async def test_a_row_is_added_in_place(visitors: Visitors, clinic: Clinic) -> None:
    """The script numbers its inputs, and what was typed stays."""
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open("/webhooks/new?provider=open")
        await page.locator("#field-id").fill("rows")
        await page.locator("#field-flowId").select_option("recepcao")
        await page.locator("summary", has_text="Requests").click()
        await page.locator("#field-cors-0-value").fill("https://a.example")
        await page.locator("[data-add-row='cors']").click()
        await expect(page.locator("#field-cors-1-value")).to_be_focused()
        await page.locator("#field-cors-1-value").fill("https://b.example")
        await page.locator("form.definition .actions button.primary").click()
        await clinic.until(ROWS, "rows")
        await clinic.pipeline.api("DELETE", "/api/webhooks/rows")


@by
async def test_a_channel_is_made_tested_and_deleted(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The test message is a notification like every other one."""
    channel_id = f"console-{how}"
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open("/channels/new?type=console")
        hands = Hands(page, how)
        await hands.write(page.locator("#field-id"), channel_id)
        await hands.press(page.locator("form.definition .actions button.primary"))
        await clinic.until(CHANNEL, channel_id)
        await page.wait_for_url(f"**/channels/{channel_id}?type=console")
        await hands.write(page.locator("#field-to"), "ana")
        await hands.write(page.locator("#field-text"), "Olá")
        await hands.press(page.locator("#test-message .actions button.primary"))
        await clinic.until(SENT, channel_id)
        await expect(page.locator("#channel-messages")).to_contain_text("ana")
        await hands.press(page.locator(".page-head details.confirm summary"))
        await hands.press(page.locator(".page-head details.confirm button.danger"))
        await clinic.until(CHANNEL_GONE, channel_id)


@pytest.mark.parametrize("preset", by_form((), PRESETS), ids=lambda preset: preset.name)
async def test_each_preset_is_saved(visitors: Visitors, clinic: Clinic, preset: object) -> None:
    """With a flow and a secret only, by mouse."""
    name, auth_type = getattr(preset, "name", ""), getattr(preset, "auth_type", "")
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open(f"/webhooks/new?provider={name}")
        await page.locator("#field-id").fill(f"sample-{name}")
        await page.locator("#field-flowId").select_option("recepcao")
        if name != "open":
            secret = WHSEC if name == "standard" else "user:password"
            await page.locator("#field-auth-secrets-0").fill(secret)
        await page.locator("form.definition .actions button.primary").click()
        await clinic.until(STORED, f"sample-{name}", auth_type)
        await clinic.pipeline.api("DELETE", f"/api/webhooks/sample-{name}")


@pytest.mark.parametrize("name", by_form((), tuple(one.name for one in CHANNEL_PRESETS)))
async def test_the_form_of_each_provider_states_what_is_missing(visitors: Visitors, name: str) -> None:
    """A form without its required fields is shown again, with an error at each."""
    if name == "console":
        pytest.skip("it has no required field")
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open(f"/channels/new?type={name}")
        visitor.watch.expect("422 (")
        await page.locator("form.definition .actions button.primary").click()
        await expect(page.locator(".field-error").first).to_be_visible()
