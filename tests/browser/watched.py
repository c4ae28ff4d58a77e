"""A page whose errors, violations of its Content-Security-Policy and foreign requests fail the test."""

from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

OBSERVE = """
document.addEventListener("securitypolicyviolation", event => {
  const place = `${event.sourceFile}:${event.lineNumber} ${event.sample}`;
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI} ${place}`);
});
"""


class Watch:
    """Collects what is wrong with the pages of a browser context."""

    def __init__(self, origin: str) -> None:
        self._host = urlsplit(origin).netloc
        self._expected: set[str] = set()
        self.faults: list[str] = []

    async def over(self, context: BrowserContext) -> None:
        """From now on, the pages of the context are watched."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"uncaught: {error.error}"))
        context.on("request", self._request)
        context.on("dialog", self._dialog)
        await context.add_init_script(OBSERVE)

    def expect(self, part: str) -> None:
        """The test provokes console messages with this text: they are no fault."""
        self._expected.add(part)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self._expected):
            self.faults.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    async def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != self._host:
            self.faults.append(f"request to another host: {request.url}")

    def check(self) -> None:
        """Fails with all that was wrong."""
        assert not self.faults, "\n".join(self.faults)


async def settled(page: Page) -> None:
    """Waits until the page is loaded and drawn. A live stream stays open, so the network is never idle."""
    await page.wait_for_load_state("load")
    await page.evaluate("document.fonts.ready.then(() => new Promise(done => requestAnimationFrame(() => done(0))))")
