"""Links of a page to itself with another query: without the path, because a page has many of them."""

from collections.abc import Callable

from ingest.dashboard.page_types import PageCall


def query_links(call: PageCall) -> Callable[..., str]:
    """The function that returns the address of the page with changed filters. None removes a filter."""

    def query_of(**changes: str | None) -> str:
        return "?" + call.with_query(**changes).partition("?")[2]

    return query_of
