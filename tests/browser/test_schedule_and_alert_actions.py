"""Schedules and alerts in a browser: the ticks while typing, an error at its field, and the effect in the database."""

import pytest
from playwright.async_api import expect

from tests.browser.clinic import Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors

PATIENCE_MS = 60_000
by = pytest.mark.parametrize("how", HOWS)


@by
async def test_a_schedule_is_written(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The next ticks appear while the cron expression is typed. A wrong flow is reported at its field."""
    name = f"resumo-{how}"
    async with visitors.visitor("admin") as visitor:
        page = await visitor.open("/schedules/new")
        hands = Hands(page, how)
        await hands.write(page.locator("#field-id"), name)
        await hands.write(page.locator("#field-flowId"), "recepção")
        await hands.write(page.locator("#field-cron"), "0 8 * * 1-5")
        await expect(page.locator("#ticks li")).to_have_count(10, timeout=PATIENCE_MS)
        visitor.watch.expect("422 (")
        await hands.press(page.locator("#definition .actions .primary"))
        await expect(page.locator("#field-flowId-error")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("#field-cron")).to_have_value("0 8 * * 1-5")
        await hands.write(page.locator("#field-flowId"), "recepcao")
        await hands.press(page.locator("#definition .actions .primary"))
        await page.wait_for_url(f"**/dashboard/schedules/{name}")
        stored = "select cron = '0 8 * * 1-5' from schedules where id = $1"
        await clinic.until(stored, name)
        await hands.press(page.locator("details.confirm > summary"))
        await hands.press(page.locator("details.confirm button.danger"))
        await page.wait_for_url("**/dashboard/schedules")
        await clinic.until("select not exists (select from schedules where id = $1)", name)


@by
async def test_an_alert_is_silenced_by_an_operator(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """For an hour; its form cannot be changed."""
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/alerts/redis-memory")
        assert await page.locator("#definition input:enabled").count() == 0
        await Hands(page, how).press(page.locator("form.silence button[value='1h']"))
        await page.locator("main > [role=status]").wait_for()
        silenced = "select silenced_until > now() from alert_rules where id = 'redis-memory'"
        await clinic.until(silenced)
        await Hands(page, how).press(page.locator("form.silence button[value='']"))
        await clinic.until("select silenced_until is null from alert_rules where id = 'redis-memory'")
