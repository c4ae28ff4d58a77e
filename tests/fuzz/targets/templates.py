"""Templates: a value within bounds, or TemplateError. Inserted values never change the syntax of a body or an address.

Input: the template in the first line (`\\n` is a line break), the JSON document that is `body` and `vars`.
"""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.flows import step_budget, value_limits
from filas.flows.templates import body_text, json_text, template, url_text
from filas.flows.templates.single_braces import single_braces
from filas.flows.templates.template import TemplateError
from tests.fuzz.target import unicode_of

WORDS = (
    "{{ body }}", "{{ body.a }}", "{{ vars.x | ", "{% if ", "{% endif %}", "{% for a in body %}", "{% endfor %}",
    "%}", "{% assign x = ", "{% capture x %}", "{% endcapture %}", "{% raw %}", "{% endraw %}", "{% case ",
    "{% when ", "{{", "{% cycle ", "{% tablerow ", "{% increment x %}", "{% liquid ", "{% echo ", "{% render ",
    "{% include ", "}}", " | ", "default: ", "date: ", "json", "upcase", "split: ", "join: ", "map: ", "where: ",
    "sort", "uniq", "replace: ", "append: ", "times: ", "divided_by: ", "modulo: ", "round", "slice: ", "truncate: ",
    "strip_html", "url_encode", "escape", "base64_decode", "concat: ", "sum", "size", "first", "last", "(1..3)",
    "forloop.index", "raw", "money", "parse_date: ", "number", "contains", " and ", " or ", "==", "nil", "empty",
    "blank", "limit:", "offset:", "reversed", '{"a":"', "https://a.example/", "?q=", "#", "parse_json", "%Y-%m-%d",
    "now", "1e9", "999999999", "-1", "'x'",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Parses and renders the template in every syntax."""
    line, _, rest = data.partition(b"\n")
    source = unicode_of(line).replace("\\n", "\n")
    try:
        document, _ = decode_json(rest)
    except bounded_json.InvalidJson:
        document = unicode_of(rest)
    scope = {"body": document, "vars": document if isinstance(document, dict) else {"x": document}}
    list(single_braces(source, {"x", "name"}))
    _check(source, scope)


def _check(source: str, scope: dict[str, Any]) -> None:
    try:
        parsed = template.parse(source)
    except TemplateError as error:
        assert len(str(error)) < 1000
        return
    list(template.syntax_problems(source))
    assert all(reference for reference in parsed.references)
    value = _value(source, scope)
    msgspec.json.encode(value) if not isinstance(value, str) else value.encode("utf-8", "surrogatepass")
    assert step_budget.measure(value, 2 * value_limits.MAX_VALUE_SIZE).size <= 2 * value_limits.MAX_VALUE_SIZE
    _check_json(scope, parsed)
    _check_url(source, scope)
    try:
        with step_budget.shared_budget():
            pieces = template.render_pieces(source, scope)
    except TemplateError:
        return
    for written in (body_text.in_form(pieces), body_text.in_xml(pieces), body_text.in_text(pieces)):
        written.encode("utf-8", "replace")


def _value(source: str, scope: dict[str, Any]) -> Any:
    try:
        with step_budget.shared_budget():
            value = template.render(source, scope)
            template.render_text(source, scope)
            template.evaluate_or_null(source, scope)
    except TemplateError as error:
        assert len(str(error)) < 1000
        return None
    return value


def _check_json(scope: dict[str, Any], parsed: template.Template) -> None:
    """A value in a JSON text stays one value. The filter `raw` exempts a value."""
    if "raw" in parsed.source or not parsed.is_whole:
        return
    for body in ('{"a": "%s", "b": 1}', '{"a": %s, "b": 1}', '["x%sy"]'):
        try:
            with step_budget.shared_budget():
                written = json_text.in_json(template.render_pieces(body % parsed.source, scope))
        except TemplateError:
            continue
        found = json.loads(written)
        assert found["b"] == 1 and len(found) == 2 if isinstance(found, dict) else len(found) == 1, written


def _check_url(source: str, scope: dict[str, Any]) -> None:
    """A value changes neither the host nor the number of fields."""
    if not source.startswith("{{") or "raw" in source:
        return
    address = f"https://a.example/x/{source}/y?p={source}&q=1"
    try:
        with step_budget.shared_budget():
            if not template.parse(address).references:
                return
            found = urlsplit(url_text.render_url(address, scope))
    except TemplateError:
        return
    if template.parse(source).is_whole:
        assert found.netloc == "a.example", found
        assert found.path.startswith("/x/"), found
        assert [name for name, _ in parse_qsl(found.query, keep_blank_values=True)] == ["p", "q"], found
