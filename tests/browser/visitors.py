"""The people who use the dashboard: one for each role, each with a browser context of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, Page, StorageState

from filas.models.access import Role
from tests.browser.clinic import Clinic
from tests.browser.looks import DEFAULT, Look
from tests.browser.watched import Watch, settled
from tests.e2e.pipeline import ADMIN_TOKEN


class Visitor:
    """A browser context of a person who uses the dashboard."""

    def __init__(self, page: Page, url: str, watch: Watch, *, javascript: bool = True) -> None:
        self.page = page
        self.watch = watch
        self.url = url
        self._javascript = javascript

    async def open(self, path: str, *, status: int = 200) -> Page:
        """Opens a page of the dashboard by its path, such as `/executions?status=failed`."""
        if status >= 400:
            self.watch.expect(f"{status} (")
        answer = await self.page.goto(f"{self.url}/dashboard{path}", wait_until="domcontentloaded")
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status} {(await answer.text())[:2000]}"
        if self._javascript:  # without it, no promise of a page ends
            await settled(self.page)
        else:
            await self.page.wait_for_load_state("load")
        return self.page


class Visitors:
    """Opens browser contexts. Each role signs in by the form once, and later contexts get a copy of the cookies."""

    def __init__(self, browser: Browser, clinic: Clinic) -> None:
        self._browser = browser
        self._clinic = clinic
        self._states: dict[Role, StorageState] = {}

    @asynccontextmanager
    async def visitor(
        self, role: Role | None = "admin", look: Look = DEFAULT, *, javascript: bool = True
    ) -> AsyncIterator[Visitor]:
        """A visitor with this role, or one who is not signed in. Faults of the pages fail the test at the end."""
        state = None if role is None else await self._signed_in(role)
        async with self._context(look, state, javascript=javascript) as context:
            watch = Watch(self._clinic.url)
            await watch.over(context)
            yield Visitor(await context.new_page(), self._clinic.url, watch, javascript=javascript)
            watch.check()

    async def _signed_in(self, role: Role) -> StorageState:
        if role not in self._states:
            async with self._context(DEFAULT, None, javascript=True) as context:
                page = await context.new_page()
                await sign_in(page, self._clinic.url, await self._token(role))
                self._states[role] = await context.storage_state()
        return self._states[role]

    async def _token(self, role: Role) -> str:
        if role == "admin":
            return ADMIN_TOKEN
        made = await self._clinic.pipeline.api("POST", "/api/keys", {"name": f"tests-{role}", "role": role})
        key: str = made["key"]
        return key

    @asynccontextmanager
    async def _context(
        self, look: Look, state: StorageState | None, *, javascript: bool
    ) -> AsyncIterator[BrowserContext]:
        context = await self._browser.new_context(
            viewport={"width": look.width, "height": look.height},
            color_scheme=look.theme,
            locale=look.language,
            timezone_id="America/Sao_Paulo",
            reduced_motion="reduce",
            java_script_enabled=javascript,
            storage_state=state,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(60_000)
        try:
            yield context
        finally:
            await context.close()


async def sign_in(page: Page, url: str, token: str) -> None:
    """Signs in by the form, and waits for the page behind it."""
    await page.goto(f"{url}/dashboard/sign-in")
    await page.fill("input[name=token]", token)
    await page.press("input[name=token]", "Enter")
    await page.wait_for_url(lambda address: "/sign-in" not in address)
