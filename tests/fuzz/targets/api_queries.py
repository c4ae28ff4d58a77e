"""Query parameters, cursors, times and searched words: a query that a store can run, or a problem with a status of 4xx.

Input: the route, the query string.
"""

from urllib.parse import parse_qsl

import msgspec

from filas.contract.storable_text import is_storable
from filas.errors import InvalidCursor
from filas.repository.postgres import paging
from filas.repository.search import event_words
from ingest.api import routes
from ingest.api.routing.identifiers import definition_id, existing_id, named_queue
from ingest.api.routing.moments import searched_time
from ingest.api.routing.problems import ApiProblem, parse_row_id
from ingest.api.routing.request_parsing import parse_query
from tests.fuzz.target import chosen, first_line, unicode_of

ROUTES = {f"{route.method} {route.path}": route for route in routes.ROUTES}
WORDS = (
    *sorted({field.encode_name for route in routes.ROUTES for field in msgspec.structs.fields(route.query)}), "=", "&",
    "2026-11-27T12:00:00Z", "+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "true", "false", "%00",
    "500",
    "01a0b1c2-0000-7000-8000-000000000000", "WyJhIl0", "%F0%9F%98%80", "day", "hour", "failed", "-1", "1e9", "NaN",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Reads the query as its route does, and each of its values as a cursor, an id and as words."""
    name, rest = first_line(data)
    text = unicode_of(rest)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        pairs = []
    try:
        query = parse_query(chosen(ROUTES, name), pairs)
        msgspec.json.encode(query)
        searched_time(getattr(query, "since", None), getattr(query, "until", None))
    except ApiProblem as problem:
        _check_problem(problem)
    for value in (text[:200], *(value for _, value in pairs[:10])):
        _check_cursor(value)
        _check_id(value)
        _check_words(value)


def _check_problem(problem: ApiProblem) -> None:
    assert 400 <= problem.status < 500
    assert len(msgspec.json.encode([problem.detail, problem.extra])) < 20_000


def _check_cursor(text: str) -> None:
    try:
        position = paging.position_of(text)
        assert paging.position_of(paging.cursor_at(*position)) == position
    except InvalidCursor:
        pass
    for read in (paging.after_name, paging.after_number):
        try:
            found = read(text)
        except InvalidCursor:
            continue
        assert is_storable(str(found))


def _check_id(text: str) -> None:
    for check in (
        lambda: existing_id("flow", text),
        lambda: definition_id(text),
        lambda: named_queue(text),
        lambda: parse_row_id("event", text),
    ):
        try:
            check()
        except ApiProblem as problem:
            _check_problem(problem)


def _check_words(text: str) -> None:
    """A text is found by its own words."""
    terms = event_words.terms_of(text)
    words = frozenset(event_words._words(text.lower()))
    assert all(term.is_in(words) for term in terms), (text, terms, words)
