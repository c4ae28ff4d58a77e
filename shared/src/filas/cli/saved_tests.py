"""Runs saved tests for `filas flows test`, and shows how they ended."""

import json
from typing import Any

import click
import msgspec

from filas.cli.api_client import Client
from filas.cli.json_documents import read_object
from filas.cli.output import show_json, shown
from filas.flows.expected_results import Expectation, result_differences

MAX_VALUE = 300


def read_case(file: str) -> tuple[dict[str, Any], Expectation]:
    """Returns the request and the expectation of a file. Raises click.UsageError."""
    case = read_object(file)
    unknown = case.keys() - {"name", "request", "expect"}
    if unknown or not isinstance(case.get("request", {}), dict):
        raise click.UsageError(
            f"{file} is no saved test: it has `request` and `expect`, as `flows tests export` writes"
        )
    try:
        return case.get("request", {}), msgspec.convert(case.get("expect", {}), Expectation)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{file}: expect: {error}") from None


def compared(name: str, expected: Expectation, run: dict[str, Any]) -> dict[str, Any]:
    """Returns the result of a test, as the API answers it."""
    found = result_differences(expected, run)
    result = {"name": name, "status": "failed" if found else "passed", "reason": ""}
    return result | {"differences": msgspec.to_builtins(found)}


def run_saved(client: Client, flow_id: str, definition: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Runs all saved tests of a flow, with the published version or with `definition`."""
    body = {} if definition is None else {"definition": definition}
    results: list[dict[str, Any]] = client.post("flows", flow_id, "tests", "run", body=body)
    return results


def show_results(results: list[dict[str, Any]], *, as_json: bool) -> int:
    """Prints how each test ended, and returns the exit code: 1 if one has not passed."""
    if as_json:
        show_json(results)
    elif not results:
        click.echo("No saved tests")
    for one in () if as_json else results:
        click.echo(f"{one['status']}: {one['name']}{': ' + shown(one['reason']) if one['reason'] else ''}")
        for difference in one["differences"]:
            click.echo(f"  {difference['field']}")
            click.echo(f"    expected: {_value(difference['expected'])}")
            click.echo(f"    found:    {_value(difference['found'])}")
    return 0 if all(one["status"] == "passed" for one in results) else 1


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    text = shown(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
