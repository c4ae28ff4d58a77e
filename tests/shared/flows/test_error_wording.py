"""Errors of definitions, templates and expressions use the words of an author, not those of Python or of a library."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.flows.definition.flow_definition import Variable
from filas.flows.definition.variables import convert
from filas.flows.expressions import cel, jmespath_mapping, rules
from filas.flows.publishing_checks import check
from filas.flows.templates import template
from filas.flows.timing import moments
from tests.reference.filters import EXAMPLES
from tests.shared.flows import test_filters
from tests.shared.flows.test_checks import CASES, changed
from tests.shared.flows.test_liquid_reference import FILTERS
from tests.shared.flows.test_rules import JSON

SCOPE: dict[str, Any] = {
    "vars": {"name": "Ana", "n": 5, "f": 2.5, "list": [1], "object": {"a": 1}, "on": True, "none": None},
    "webhook": {"body": {"items": [{"n": 1}, {"n": "b"}], "huge": 2**70}},
}

LIBRARY_WORDING = re.compile(
    r"NoneType|overload|_[-+<>=!&|?*/%]+_|\b(?:str|int64|int|dict|bool|float|uint64|string_type)\b|__\w+__"
    r"|object is not|positional argument|instances of|EOF|[Jj]mespath expression:.*JMESPath|enum value"
    r"|No matching|(?:Value|Type|Key|Index|Attribute|Syntax|Runtime|Overflow)Error|strftime"
    r"|codec|protobuf|\bdyn\b|<class|0x[0-9a-f]{6}|must be str|could not convert|std::|absl::|kwargs|lambda"
    r"|\bUndefined\b|Decimal|\{'|datetime\.|\bTrue\b|\bFalse\b|\bNone\b"
    r"|\bregex\b|Traceback|isoformat|array-|INVALID_ARGUMENT|<\w+>|unhashable|subscriptable"
)
WORDING_OF_TYPES = re.compile(r"NoneType|overload|_[-+<>=!&|?*/%]+_|int64|uint64|null_type|Traceback|INVALID_ARGUMENT")

CEL = [
    ("vars.name > 5", "cannot be evaluated: cannot apply > to a text and a whole number"),
    ("vars.n in vars.name", "cannot be evaluated: cannot apply in to these values"),
    ("!vars.name", "cannot be evaluated: cannot apply ! to these values"),
    ("-vars.name == 1", "cannot be evaluated: cannot apply - to a text"),
    ("vars.name && true", "cannot be evaluated: cannot apply && to these values"),
    ("vars.name ? true : false", "cannot be evaluated: the condition before ? is not a boolean"),
    ("vars.name.all(c, true)", "cannot be evaluated: a macro such as all or exists needs a list or an object"),
    ("vars.n.startsWith('a')", "cannot be evaluated: cannot apply startsWith to a whole number and a text"),
    ("size(vars.n) == 1", "cannot be evaluated: cannot apply size to a whole number"),
    ("vars.object > vars.list", "cannot be evaluated: cannot apply > to an object and a list"),
    ("int(vars.name) == 1", "cannot be evaluated: cannot convert a text to a whole number"),
    ("bool('x')", "cannot be evaluated: cannot convert a text to a boolean"),
    ("timestamp(vars.name) == timestamp('2026-01-01T00:00:00Z')", "cannot be evaluated: the text is not a timestamp"),
    ("9223372036854775807 + 1 == vars.n", "cannot be evaluated: a whole number is out of the range of 64 bits"),
    ("vars.n / 0 == 1", "cannot be evaluated: cannot divide by 0"),
    ("vars.f % 0 == 1", "cannot be evaluated: cannot divide by 0"),
    (
        "now.getHours('Mars') == 1",
        "cannot be evaluated: the time zone is not one such as America/Sao_Paulo",
    ),
    ("vars.name[0] == 'A'", "cannot be evaluated: cannot look up a part of a text"),
    ("now > '2026'", "invalid CEL expression: line 1:5: cannot apply > to a timestamp and a text"),
    ("duration('1s') > 1", "invalid CEL expression: line 1:16: cannot apply > to a duration and a whole number"),
    (
        "vars.list.contains(1)",
        "invalid CEL expression: line 1:19: cannot apply contains to any value and a whole number",
    ),
    (
        "vars.n == 1000000000000000000000",
        "invalid CEL expression: line 1:11: a whole number is out of the range of 64 bits",
    ),
    ("'a' + 1 == 'b'", "invalid CEL expression: line 1:5: cannot apply + to a text and a whole number"),
    ("vars.n ==", "invalid CEL expression: line 1:10: unexpected end of the expression"),
    ("name == 1", "invalid CEL expression: line 1:1: unknown name or function 'name'"),
    ("(" * 200 + "true" + ")" * 200, "invalid CEL expression: is nested deeper than 32"),
]
JMESPATH = [
    ("abs('a')", "abs() expected a number, got a text"),
    ("join(',', vars.list)", "join() expected a list of texts, got a whole number"),
    ("vars.list[?@ > `x`]", "cannot compare a whole number with a text"),
    ("nope(@)", "unknown function 'nope'"),
    ("a[", "invalid JMESPath expression: unexpected end of the expression"),
    ("a.b.", "invalid JMESPath expression: unexpected end at column 5"),
    ("", "invalid JMESPath expression: is empty"),
]
LIQUID = [
    ("{% if vars.n > 'a' %}x{% endif %}", "cannot compare a text with a whole number"),
    ("{{ vars.n | append }}", "append needs one more argument"),
    ("{{ vars.n | append: 1, 2, 3 }}", "append has too many arguments"),
    ("{{ vars.name | slice: 'x' }}", "slice expected an integer start, found a text"),
    ("{{ vars.list | concat: 5 }}", "concat: expected a list to add, found 5"),
]


SOURCES = {name: source for name, source, _ in FILTERS} | {name: source for name, (source, _) in EXAMPLES.items()}


@pytest.mark.parametrize(("text", "message"), CEL)
def test_an_error_of_cel_states_the_operation_and_the_types(text: str, message: str) -> None:
    with pytest.raises(cel.ExpressionError, match=rf"^{re.escape(message)}(?: \(\w.*\))?$"):
        cel.evaluate(text, SCOPE)


@pytest.mark.parametrize(("text", "message"), JMESPATH)
def test_an_error_of_jmespath_states_what_was_expected_and_found(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jmespath_mapping.search(text, SCOPE)


@pytest.mark.parametrize(("text", "message"), LIQUID)
def test_an_error_of_a_template_states_the_filter_and_the_types(text: str, message: str) -> None:
    with pytest.raises(template.TemplateError, match=f"^{re.escape(message)}$"):
        template.render(text, SCOPE)


def test_a_wrong_time_is_shown_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^\"tomorrow\" is not an ISO 8601 time such as 2026-11-24T10:00:00-03:00$"):
        moments.parse_moment("tomorrow")


@pytest.mark.parametrize(("path", "value"), [case[1:3] for case in CASES], ids=[case[0] for case in CASES])
def test_no_publishing_problem_has_library_wording(path: str, value: Any) -> None:
    messages = [problem.message for problem in check(changed(path, value))[1]]
    assert messages
    assert [message for message in messages if LIBRARY_WORDING.search(message)] == []


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_no_filter_has_library_wording_for_any_argument(source: str) -> None:
    """Each filter gets values and arguments of types that it may not support."""
    name = [name for name in re.findall(r"\|\s*(\w+)", source) if name in SOURCES][-1]
    found = []
    for value in ("vars.none", "vars.n", "vars.list", "vars.object", "vars.on", "webhook.body.items"):
        for arguments in ("", ": 'x'", ": vars.object", ": vars.list, 'x'", ": 1, 2, 3, 4"):
            try:
                template.render(f"{{{{ {value} | {name}{arguments} }}}}", SCOPE)
            except template.TemplateError as error:
                if LIBRARY_WORDING.search(str(error)):
                    found.append(str(error))
    assert found == []


def _errors_of_tables() -> list[str]:
    """Every error of the table-driven tests of expressions: of templates, constants, CEL, JMESPath, rules and times."""
    found: list[str] = []

    def collect(work: Callable[[], object]) -> None:
        try:
            work()
        except ValueError as error:
            found.append(str(error))

    for source in [row[1] for row in test_filters.FAILURES] + [row[0] for row in test_filters.CONSTANTS]:
        collect(lambda source=source: template.parse(source).check_constants())  # type: ignore[misc]
        collect(lambda source=source: template.parse(source).evaluate(test_filters.SCOPE))  # type: ignore[misc]
    for text in [row[0] for row in CEL]:
        collect(lambda text=text: cel.evaluate(text, SCOPE))  # type: ignore[misc]
    for text in [row[0] for row in JMESPATH]:
        collect(lambda text=text: jmespath_mapping.search(text, SCOPE))  # type: ignore[misc]
    times: list[Any] = ["tomorrow", "05/11/2026", None, True, [], {}, 1e300, "2026-13-01", float(10**18), "x" * 500]
    for time in times:
        collect(lambda time=time: moments.parse_moment(time))  # type: ignore[misc]
    values: list[Any] = [[1], {"a": 1}, "x", True]
    for kind, value in itertools.product(("string", "number", "boolean", "list", "object"), values):
        variable = Variable(name="v", type=kind)  # type: ignore[arg-type]
        collect(lambda variable=variable, value=value: convert(variable, value))  # type: ignore[misc]
    for expression in ("* *", "99 * * * *", "a b c d e", "* * * * * * *", "", "*/0 * * * *"):
        found.append(moments.cron_problem(expression) or "")
    for pattern in ("(", "[", "a{5000}", "(?P<x", "\\", "*", "(?<!a)"):
        found += [message for _, message in rules.problems("matches", pattern)]
    return found


def test_no_error_of_the_table_driven_tests_has_library_wording() -> None:
    found = _errors_of_tables()
    assert len(found) > 100
    assert [message for message in found if LIBRARY_WORDING.search(message)] == []


@given(text=st.text(max_size=20), value=JSON)
def test_no_expression_on_any_data_has_an_error_with_library_wording(text: str, value: Any) -> None:
    """Apart from what the error shows of the expression and of the data."""
    found = []
    for source in (f"webhook.body.{text}", "webhook.body.x > 5", "webhook.body.x.startsWith('a')", text):
        try:
            cel.evaluate(source, {"webhook": {"body": {"x": value}}})
        except cel.ExpressionError as error:
            found.append(re.sub(r'"(?:[^"\\]|\\.)*"|\(.*\)', "", str(error).replace(text, "")))
    assert [message for message in found if WORDING_OF_TYPES.search(message)] == []
