"""How a test run is compared with what its saved test expects."""

from typing import Any

import msgspec
import pytest

from filas.flows.expected_results import Expectation, result_differences

RUN: dict[str, Any] = {
    "status": "succeeded",
    "error": None,
    "chat": [
        {"sender": "contact", "text": "oi"},
        {"sender": "flow", "text": "Hello"},
        {"sender": "contact", "text": None},
        {"sender": "flow", "text": "Today is 2026-11-27"},
    ],
    "calls": [
        {"nodeId": "hi", "method": None, "payload": {"text": "Hello"}},
        {"nodeId": "crm", "method": "POST", "url": "https://crm.example/x", "body": {"a": 1, "b": [{"c": 2, "d": 3}]}},
    ],
    "vars": {"total": 3, "cart": {"items": 2, "sum": 5}, "ok": True},
}


def differences(**expected: Any) -> list[tuple[str, Any, Any]]:
    found = result_differences(msgspec.convert(expected, Expectation), RUN)
    return [(one.field, one.expected, one.found) for one in found]


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"status": "succeeded"},
        {"chat": ["Hello", "Today is 2026-11-27"]},
        {"chat": ["Hello", {"contains": "Today is"}]},
        {"calls": [{"nodeId": "crm"}]},
        {"calls": [{"nodeId": "crm", "method": "POST", "url": "https://crm.example/x", "body": {"a": 1}}]},
        {"calls": [{"nodeId": "crm", "body": {"b": [{"c": 2}]}}]},
        {"vars": {}},
        {"vars": {"total": 3, "cart": {"sum": 5}, "ok": True}},
    ],
)
def test_a_run_that_is_as_expected(expected: dict[str, Any]) -> None:
    """Parts and fields that are left out are not compared."""
    assert differences(**expected) == []


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"status": "failed"}, ("status", "failed", "succeeded")),
        ({"chat": ["Hello"]}, ("chat[1]", None, "Today is 2026-11-27")),
        ({"chat": ["Hi", "Today is 2026-11-27"]}, ("chat[0]", "Hi", "Hello")),
        ({"chat": ["Hello", "Today is 2026-11-27", "Bye"]}, ("chat[2]", "Bye", None)),
        ({"chat": ["Hello", {"contains": "Monday"}]}, ("chat[1]", {"contains": "Monday"}, "Today is 2026-11-27")),
        ({"calls": [{"nodeId": "crm", "method": "GET"}]}, ("calls[0].method", "GET", "POST")),
        ({"calls": [{"nodeId": "crm", "body": {"a": 2}}]}, ("calls[0].body.a", 2, 1)),
        ({"calls": [{"nodeId": "crm", "body": {"b": []}}]}, ("calls[0].body.b", [], [{"c": 2, "d": 3}])),
        ({"calls": [{"nodeId": "crm"}, {"nodeId": "erp"}]}, ("calls[1]", {"nodeId": "erp"}, None)),
        ({"vars": {"total": 4}}, ("vars.total", 4, 3)),
        ({"vars": {"ok": 1}}, ("vars.ok", 1, True)),
        ({"vars": {"none": "x"}}, ("vars.none", "x", None)),
        ({"vars": {"cart": {"sum": 6}}}, ("vars.cart.sum", 6, 5)),
    ],
)
def test_what_differs_is_named(expected: dict[str, Any], found: tuple[str, Any, Any]) -> None:
    assert differences(**expected) == [found]


def test_a_call_that_is_not_expected_is_a_difference() -> None:
    """With what it sent. Messages are no calls."""
    call = {name: RUN["calls"][1][name] for name in ("nodeId", "method", "url", "body")}
    assert differences(calls=[]) == [("calls[0]", None, call)]
    assert differences(calls=[{"nodeId": "erp"}]) == [("calls[0]", {"nodeId": "erp"}, call)]


def test_a_failure_is_shown_with_its_reason() -> None:
    error = {"kind": "template", "message": "unknown name", "nodeId": "hi"}
    run = RUN | {"status": "failed", "error": error}
    (found,) = result_differences(Expectation(status="succeeded"), run)
    assert found.found == "failed at hi: template: unknown name"
