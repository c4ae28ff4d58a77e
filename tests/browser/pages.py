"""Every page of the dashboard. A new page needs one line here to be tested and photographed in every look."""

from typing import NamedTuple

from tests.browser.clinic import Clinic


class DashboardPage(NamedTuple):
    """`path` is below `/dashboard`. Its `{}` becomes the value of the query `subject`, which finds something that the
    clinic has."""

    name: str
    path: str
    subject: str | None = None

    async def address(self, clinic: Clinic) -> str:
        """The path with the id of its subject."""
        if self.subject is None:
            return self.path
        return self.path.replace("{}", str(await clinic.until(self.subject)))


PAGES: tuple[DashboardPage, ...] = (DashboardPage("overview", "/"),)
