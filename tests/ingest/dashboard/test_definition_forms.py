"""Forms for definitions: what they show, the body that they make, and where an error appears."""

import re
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.api.routing.problems import FieldError, invalid
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, FormView, Group
from ingest.dashboard.definition_forms.form_fields import (
    Checkbox,
    Duration,
    Field,
    Json,
    Moment,
    Number,
    Secret,
    Text,
)
from ingest.dashboard.definition_forms.list_fields import Choices, Secrets
from ingest.dashboard.pages.sample_form import SAMPLE, STORED
from ingest.dashboard.presentation.texts import Reader
from tests.ingest.dashboard.browsing import Browser

READER = Reader("en", UTC, "UTC")


def form(*fields: Field, path: str = "") -> DefinitionForm:
    return DefinitionForm("sample-fields", (Group("first", fields, path=path),))


def body(one: DefinitionForm, typed: dict[str, str], stored: Any = None) -> dict[str, Any]:
    view = one.read(READER, typed, stored)
    assert view.is_complete, view.errors
    return view.body


def round_trip(one: DefinitionForm, stored: dict[str, Any]) -> dict[str, Any]:
    """The body of a form that is submitted as it was shown."""
    return body(one, dict(one.show(READER, stored).inputs), stored)


@pytest.mark.parametrize(
    ("field", "typed", "expected"),
    [
        (Text("name"), {"name": "  orders "}, {"name": "orders"}),
        (Text("name"), {"name": "   "}, {}),
        (Text("note", lines=3), {"note": " a\r\nb "}, {"note": " a\nb "}),
        (Number("count"), {"count": " 12 "}, {"count": 12}),
        (Number("count", whole=False), {"count": "0,5"}, {"count": 0.5}),
        (Number("count", whole=False), {"count": "2.0"}, {"count": 2}),
        (Duration("ms"), {"ms": "1.5", "ms.unit": "min"}, {"ms": 90_000}),
        (Duration("s", stored_in="s"), {"s": "5", "s.unit": "min"}, {"s": 300}),
        (Checkbox("on", default=True), {}, {"on": False}),
        (Checkbox("on", default=False), {"on": "on"}, {"on": True}),
        (Moment("at"), {"at": "2026-03-01T10:30"}, {"at": "2026-03-01T10:30:00+00:00"}),
        (Json("config"), {"config": '{"id": 9223372036854775807}'}, {"config": {"id": 2**63 - 1}}),
        (Json("value", may_be_text=True, lines=1), {"value": "12"}, {"value": 12}),
        (Json("value", may_be_text=True, lines=1), {"value": '"12"'}, {"value": "12"}),
        (Json("value", may_be_text=True, lines=1), {"value": "twelve"}, {"value": "twelve"}),
        (Choices("days", ("1", "2"), numbers=True), {"days.2": "on"}, {"days": [2]}),
        (Secret("token"), {"token": "new"}, {"token": "new"}),
        (Secrets("keys"), {"keys[0]": "a", "keys[1]": "", "keys[2]": "b"}, {"keys": ["a", "b"]}),
    ],
)
def test_a_field_becomes_the_value_of_the_body(field: Field, typed: dict[str, str], expected: dict[str, Any]) -> None:
    """Blank is absent: the API uses its default."""
    assert body(form(field), typed) == expected


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        (Number("count"), "1.5", "not a whole number"),
        (Number("count", whole=False), "nan", "not a number"),
        (Number("count", whole=False), "many", "not a number"),
        (Duration("count"), "0.0001", "not a length of time"),
        (Duration("count"), "1e99", "not a length of time"),
        (Duration("count"), "soon", "not a number"),
        (Duration("count"), "inf", "not a length of time"),
        (Moment("count"), "tomorrow", "not a date with a time"),
        (Json("count"), '{"a":', "not JSON: "),
        (Json("count", is_object=True), "[1]", "not a JSON object"),
    ],
)
def test_what_cannot_be_read_is_an_error_at_its_field(field: Field, typed: str, message: str) -> None:
    """The form keeps what was typed."""
    view = form(field).read(READER, {"count": typed, "count.unit": "ms"})
    assert not view.is_complete
    assert view.status == 422
    assert view.errors["count"][0].startswith(message)
    assert view.text("count") == typed


FULL: dict[str, Any] = {
    "name": "orders",
    "note": "a\nb",
    "template": "{{ body.from }}",
    "count": 0,
    "windowMs": 0,
    "color": "blue",
    "days": [3],
    "enabled": False,
    "startsAt": "2026-03-01T10:30:00+00:00",
    "token": "***",
    "secrets": ["***", "***"],
    "config": {"b": 1, "a": [None, 2**60, 1.5]},
    "rules": [{"left": "{{ a }}", "value": "1", "own": 1}, {"left": "b", "value": None}, {"left": "c", "value": 7}],
    "headers": {"x-a": "1", "x-b": ""},
    "origins": ["https://a.example"],
    "object": {"zone": "America/Sao_Paulo", "limit": 3, "own": True},
    "own": {"deep": [1]},
}


def test_a_form_that_is_submitted_as_it_was_shown_changes_nothing() -> None:
    """Fields that the form does not know stay, also in objects and rows. A value that is no option stays."""
    expected = {**FULL, "rules": [FULL["rules"][0], {"left": "b"}, FULL["rules"][2]]}
    assert round_trip(SAMPLE, FULL) == expected
    assert round_trip(SAMPLE, STORED)["unknown"] == STORED["unknown"]


def test_a_form_with_defaults_makes_no_object_of_them() -> None:
    """`object` would exist without its limit."""
    made = round_trip(SAMPLE, {})
    assert made == {"count": 5, "windowMs": 60_000, "days": [1, 2], "enabled": True}
    assert body(SAMPLE, {"object.zone": "UTC", "object.limit": "3"})["object"] == {"limit": 3}
    emptied = body(SAMPLE, {"object.zone": "UTC", "object.limit": ""}, {"object": {"zone": "UTC", "limit": 3}})
    assert "object" not in emptied


def test_a_time_is_in_the_zone_of_the_reader() -> None:
    """It is stored with its offset."""
    reader = Reader("en", ZoneInfo("America/Sao_Paulo"), "America/Sao_Paulo")
    one = form(Moment("at"))
    assert one.show(reader, {"at": "2026-03-01T13:30:00Z"}).text("at") == "2026-03-01T10:30"
    assert one.read(reader, {"at": "2026-03-01T10:30"}).body == {"at": "2026-03-01T10:30:00-03:00"}


def test_a_blank_secret_keeps_the_stored_one() -> None:
    """`***` in the body. The box removes it; without a stored one, there is none."""
    one = form(Secret("token", may_be_removed=True))
    assert body(one, {"token": ""}, {"token": "***"}) == {"token": "***"}
    assert body(one, {"token": ""}, {"token": "env:SECRET_A"}) == {"token": "***"}
    assert body(one, {"token": "", "token.remove": "on"}, {"token": "***"}) == {}
    assert body(one, {"token": ""}) == {}
    several = form(Secrets("auth.secrets"))
    stored = {"auth": {"type": "stripe", "secrets": ["***", "***"]}}
    typed = {"auth.secrets[0]": "", "auth.secrets[1]": "second", "auth.secrets[2]": "third"}
    assert body(several, typed, stored)["auth"] == {"type": "stripe", "secrets": ["***", "second", "third"]}
    assert body(several, {}, stored)["auth"]["secrets"] == ["***", "***"]


def test_empty_rows_are_left_out_and_errors_find_their_rows() -> None:
    """The rows are numbered as in the body, so `rules[1]` of the API is the second row of the form."""
    typed = {"rules[0].left": "", "rules[1].left": "a", "rules[3].left": "b", "rules[3].value": "2"}
    view = SAMPLE.read(READER, typed)
    assert view.body["rules"] == [{"left": "a"}, {"left": "b", "value": 2}]
    found = view.with_problem(invalid([FieldError(field="rules[1].left", message="no such variable")]))
    assert found.errors == {"rules[1].left": ["no such variable"]}
    assert found.text("rules[1].left") == "b"
    assert found.error_list == [("rules[1].left", "Rows 2, Left", "no such variable")]


def test_names_in_rows_are_unique() -> None:
    """The second one would replace the first."""
    typed = {"headers[0].name": "a", "headers[0].value": "1", "headers[1].name": "a", "headers[2].value": "3"}
    assert SAMPLE.read(READER, typed).errors == {"headers[1].name": ["this name is in another row too"]}
    assert SAMPLE.read(READER, {"headers[0].value": "3"}).errors == {"headers[0].name": ["the name is missing"]}


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("name", "name"),
        ("object.limit", "object.limit"),
        ("object.unknown", "object"),
        ("object", "object"),
        ("config.a.b", "config"),
        ("headers[...]", "headers"),
        ("secrets[1]", "secrets[1]"),
        ("secrets", "secrets"),
        ("days[0]", "days"),
        ("elsewhere", None),
        ("", None),
        ("names", None),
    ],
)
def test_an_error_of_the_api_goes_to_the_nearest_field(field: str, place: str | None) -> None:
    """What belongs to no field is shown at the top."""
    view = SAMPLE.read(READER, {"secrets[0]": "a", "secrets[1]": "b"})
    found = view.with_problem(invalid([FieldError(field=field, message="wrong")]))
    if place is None:
        assert (found.errors, found.top) == ({}, (f"{field}: wrong" if field else "wrong",))
    else:
        assert (found.errors, found.top) == ({place: ["wrong"]}, ())


def test_an_error_within_an_object_without_a_group_goes_to_its_first_field() -> None:
    """Otherwise it would be far from what it is about."""
    view = form(Text("a.b"), Text("a.c")).read(READER, {})
    assert view.with_problem(invalid([FieldError(field="a", message="wrong")])).errors == {"a.b": ["wrong"]}


def test_an_advanced_group_is_open_when_it_has_something_to_show() -> None:
    """A value, an error, or a new row."""
    [_, _, more] = SAMPLE.groups

    def is_open(view: FormView) -> bool:
        return view.is_open(more)

    assert not is_open(SAMPLE.show(READER, STORED))
    assert is_open(SAMPLE.show(READER, {"headers": {"a": "1"}}))
    assert is_open(SAMPLE.read(READER, {"config": "{"}))
    assert is_open(SAMPLE.read(READER, {"_do": "add:rules"}))
    assert not is_open(SAMPLE.read(READER, {"config": "", "rules[0].left": "", "headers[0].name": ""}))


async def test_the_page_shows_every_field_with_its_label_and_the_body_that_it_makes(browser: Browser) -> None:
    """Without JavaScript."""
    page = await browser.open("/_components")
    sample = page.form("/dashboard/_components/form")
    assert sample.fields["name"] == "orders"
    assert sample.fields["token"] == ""
    labelled = set(re.findall(r'<label for="([^"]+)"', page.html))
    inputs = re.findall(
        r'<(?:input type="(?:text|password|datetime-local)"|select|textarea) id="(field-[^"]+)"', page.html
    )
    named = set(re.findall(r'id="(field-[^"]+)"[^>]* aria-label=', page.html))
    assert len(inputs) > 12
    assert set(inputs) <= labelled | named
    done = await browser.submit(page, "/dashboard/_components/form", {"rules[0].left": "{{ a }}", "windowMs": "2"})
    assert "&#34;windowMs&#34;: 120000" in done.html
    assert "&#34;kept&#34;: 1152921504606846976" in done.html


async def test_each_error_is_at_its_field_and_in_the_list_at_the_top(browser: Browser) -> None:
    """The field is marked as invalid and names its error; what was typed stays, but no secret."""
    page = await browser.open("/_components")
    typed = {
        "name": "wrong", "rules[0].left": "a", "rules[0].value": "1", "token": "geheim-1", "secrets[1]": "geheim-2",
    }  # fmt: skip
    more = await browser.submit(page, "/dashboard/_components/form", {**typed, "_do": "add:rules"})
    assert more.form("/dashboard/_components/form").fields["rules[3].left"] == ""
    wrong = await browser.submit(
        more, "/dashboard/_components/form", {**typed, "rules[2].left": "b", "_do": "save"}, status=422
    )
    fields = wrong.form("/dashboard/_components/form").fields
    assert (fields["name"], fields["rules[1].left"]) == ("wrong", "b")
    assert "geheim" not in wrong.html
    assert wrong.text.count("Type this secret again") == 2
    for place in ("name", "rules-1-left", "secrets-1"):
        described = re.search(rf'<[^>]* id="field-{place}"[^>]*>', wrong.html)
        assert described is not None, place
        assert 'aria-invalid="true"' in described[0], place
        assert f'aria-describedby="field-{place}-error' in described[0], place
        assert wrong.html.count(f'id="field-{place}-error"') == 1, place
        assert f'href="#field-{place}"' in wrong.html, place
    for place in ("object", "headers"):
        assert f'id="field-{place}-error"' in wrong.html, place
    assert "elsewhere: does not fit" in wrong.text


async def test_a_button_that_renews_the_form_shows_no_errors(browser: Browser) -> None:
    """The user has not finished yet."""
    page = await browser.open("/_components")
    again = await browser.submit(page, "/dashboard/_components/form", {"count": "x", "color": "green", "_do": "again"})
    assert "Nothing was saved" not in again.text
    assert again.form("/dashboard/_components/form").fields["count"] == "x"
