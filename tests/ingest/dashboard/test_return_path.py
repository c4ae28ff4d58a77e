"""After a sign-in, the browser goes to a page of the dashboard and nowhere else."""

from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.dashboard.sessions.return_path import OVERVIEW, checked

PAGE = "http://127.0.0.1:8081/dashboard/sign-in"


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard",
        "/dashboard/",
        "/dashboard/events?text=maria%20order-7&status=failed",
        "/dashboard?page=2",
        "/dashboard/jobs/%7Bwebhook-processing%7D:01990f3c-5d2e-7000-8000-3f2a9c1d0e4b",
        "/dashboard/flows/greeting/versions/1..2",
        "/dashboard/executions/01990f3c?step=3&next=https://evil.example/",
        "/dashboard/conversations?q=%2B5511999990000",
    ],
)
def test_a_page_of_the_dashboard_is_kept(path: str) -> None:
    assert checked(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//evil.example",
        "//evil.example/dashboard",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/dashboard/",
        "https:evil.example",
        "javascript:alert(1)",
        "/dashboardevil",
        "/dashboard.evil.example",
        "/dashboard@evil.example",
        "/dashboard/\\evil.example",
        "/dashboard//evil.example",
        "/dashboard/%2f%2fevil.example",
        "/dashboard/%5cevil.example",
        "/dashboard/%255c%255cevil.example",
        "/dashboard/../api/queue/stats",
        "/dashboard/..",
        "/dashboard/%2e%2e/api",
        "/dashboard/%252e%252e/api",
        "/dashboard/..%2fapi",
        "/dashboard/\r\nSet-Cookie: filas=x",
        "/dashboard/%0d%0aSet-Cookie:x",
        "/dashboard/\tx",
        " /dashboard/",
        "/dashboard/ ",
        "/dashboard/\u202e",
        "/dashboard/é",
        "/dashboard/#fragment",
        "/dashboard/<script>",
        '/dashboard/"onload="',
        "/Dashboard/",
        "/dashboard/sign-in",
        "/dashboard/sign-in?next=/dashboard/",
        "/dashboard/sign%2Din",
        "/dashboard/sign-out",
        "/dashboard/" + "x" * 2000,
    ],
)
def test_anything_else_leads_to_the_overview(path: str) -> None:
    assert checked(path) == OVERVIEW


@given(st.text() | st.text(alphabet="/\\.%2fFeE5cC:@?#dashboard evil\t\r\n"))
def test_any_text_leads_to_a_page_of_the_dashboard(text: str) -> None:
    """As a browser reads the header Location: backslashes are slashes, and tabs and line ends are removed."""
    for path in (text, f"/dashboard{text}", f"/dashboard/{text}", f"/dashboard/{quote(text)}"):
        location = checked(path).replace("\\", "/").translate({9: None, 10: None, 13: None})
        found = urlsplit(urljoin(PAGE, location))
        assert (found.scheme, found.netloc) == ("http", "127.0.0.1:8081")
        assert found.path == "/dashboard" or found.path.startswith("/dashboard/")
