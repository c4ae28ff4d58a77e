"""A viewer is refused every action of every page, before what was sent is read."""

import re

from ingest.dashboard.application import PAGES
from tests.ingest.dashboard.browsing import Browser

FOR_EVERYONE = {"/preferences"}
"""What changes only what the reader sees."""

COMPARES = {"/flows/{id}/edit/differences", "/flows/{id}/edit/layout"}
"""What stores nothing: a viewer may also compare a definition through the API, and sees flows on the canvas."""


async def test_a_viewer_is_refused_every_action(viewer: Browser) -> None:
    """Also with an empty form and for an object that does not exist."""
    page = await viewer.open("/doctor")
    csrf = next(form.fields["csrf"] for form in page.forms if "csrf" in form.fields)
    allowed = {}
    for route in PAGES:
        if route.method != "POST" or route.path in FOR_EVERYONE | COMPARES:
            continue
        address = re.sub(r"{\w+}", "some", route.path.replace("{queue}", "flow"))
        url = f"{viewer.api.url}/dashboard{address}"
        sent = {"csrf": csrf, "return": "/dashboard/"}
        async with viewer.session.post(url, data=sent, allow_redirects=False) as answer:
            if answer.status != 403 or "role" not in await answer.text():
                allowed[route.path] = answer.status
    assert allowed == {}
