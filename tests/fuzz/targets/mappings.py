"""JMESPath: the result of the library, within bounds, or ValueError.

Input: the expression in the first line, a JSON document.
"""

import json
from typing import Any

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.flows import step_budget, value_limits
from filas.flows.expressions import jmespath_mapping
from filas.models.configuration import Dedupe
from ingest.receive import duplicate_keys
from ingest.verify.scheme import ReceivedRequest
from tests.fuzz.target import unicode_of

WORDS = (
    "a.b", "[0]", "[-1]", "[*]", "[]", "[?a==`1`]", "[::2]", "*.a", "@", "&a", "sort_by(@, &a)", "max_by(", "map(&",
    "|", "length(", "join(',', ", "to_string(", "to_number(", "keys(", "values(", "merge(", "contains(", "reverse(",
    "not_null(", "{a: b, c: d}", "[a, b]", "`{\"a\":1}`", "'raw'", '"quoted"', "&&", "||", "!", "==", "<=", "avg(",
    "sum(", "type(", "group_by(", "starts_with(", "ceil(", "abs(", "to_array(", "items(", "zip(",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """The bounded interpreter and the library find the same."""
    line, _, rest = data.partition(b"\n")
    expression = unicode_of(line)
    try:
        document, _ = decode_json(rest)
    except bounded_json.InvalidJson:
        document = {"a": [{"b": 1}, {"b": "x"}], "c": None}
    problem = jmespath_mapping.problem(expression)
    assert problem is None or 0 < len(problem) < 1000
    found, is_found = None, False
    try:
        with step_budget.shared_budget():
            found = jmespath_mapping.search(expression, document)
        is_found = True
        jmespath_mapping.plain_path(expression)
        jmespath_mapping.find(expression, document, 20_000)
    except (ValueError, step_budget.TooMuchWork) as error:
        assert len(str(error)) < 1000
    assert problem is None or not is_found
    if is_found:
        msgspec.json.encode(found)
        assert step_budget.measure(found, 2 * value_limits.MAX_VALUE_SIZE).size <= 2 * value_limits.MAX_VALUE_SIZE
        _compare(expression, document, found)
    _check_key(expression, document)


def _compare(expression: str, document: Any, found: Any) -> None:
    try:
        expected = jmespath.search(expression, document)
        written = json.dumps(expected, sort_keys=True)
    except (JMESPathError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError):
        return
    assert json.dumps(found, sort_keys=True) == written, (found, expected)


def _check_key(expression: str, document: Any) -> None:
    """A duplicate key can be stored."""
    try:
        key_of = duplicate_keys.configured(Dedupe(path=expression))
    except ValueError:
        return
    request = ReceivedRequest("POST", {}, {}, b"{}", 0.0)
    key = key_of(request, document)
    if key is not None:
        assert len(duplicate_keys.bounded(key)) <= duplicate_keys.MAX_KEY
