"""The standard filters compared with Liquid's documented cases, and the filters that differ, with the reason."""

import pytest

from filas.flows.author_settings import AuthorSettings, applied
from filas.flows.templates import bounded_liquid, template
from filas.flows.templates.filters.added_filters import FILTERS
from tests.shared.flows.liquid_cases import CASES, Case

DIFFERENT: dict[str, tuple[str, str]] = {
    '{{ "a,b,," | split: "," | size }}': ("4", "no part is dropped, so that the columns of a line keep their places"),
}
"""By template: what Filas writes instead, and why."""

ADDED = {"json", "raw", "escapejs", "parse_date", "parse_json", "money", "number", "regex_match", "regex_replace"}
ADDED |= {"sha256", "hmac_sha256", "push", "unaccent", "digits", "phone"}
"""Filters that are not in Liquid's documentation."""

ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("case", ALL, ids=[case.source for case in ALL])
def test_a_standard_filter_writes_what_liquid_documents(case: Case) -> None:
    """In English and UTC, as Liquid has no locale."""
    wanted = DIFFERENT[case.source][0] if case.source in DIFFERENT else case.text
    with applied(AuthorSettings("en-US")):
        assert template.render_text(case.source, case.data) == wanted


def test_every_standard_filter_has_a_case() -> None:
    assert set(bounded_liquid.build_environment().filters) | set(FILTERS) == set(CASES) | ADDED
