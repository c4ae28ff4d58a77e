"""The generated parts of docs/reference are those of the code, and everything in them has a meaning."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.expressions.rules import OPERATORS
from filas.flows.problems import Code
from filas.flows.root_names import ROOTS
from filas.flows.templates.bounded_liquid import build_environment
from filas.models.executions import ExecutionStatus
from filas.models.notifications import NotificationStatus
from ingest.api.routes import ROUTES
from ingest.api.routing.route_types import Route
from tests.reference import api, definitions, error_kinds, log_events, nodes, pages

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(("page", "name"), list(pages.regions()))
def test_a_region_is_the_generated_one(page: str, name: str) -> None:
    """The committed text of each region equals the text that the code yields."""
    assert pages.committed(page, name) == pages.generated(page, name), "run `python -m tests.reference`"


def test_every_field_of_a_flow_has_its_meaning() -> None:
    """The table of meanings has every field of the types, and no other."""
    assert {row.key for row in nodes.rows()} == nodes.MEANINGS.keys()


def test_every_field_of_a_definition_has_its_meaning() -> None:
    """The tables are built without a missing meaning, and no meaning is left over."""
    text = definitions.webhook_table() + definitions.auth_fields_table() + definitions.schedule_table()
    text += "".join(definitions.channel_table(name) for name in definitions.channel_types())
    meanings = [definitions.WEBHOOK, definitions.AUTH, definitions.SCHEDULES, definitions.CHANNELS]
    assert [meaning for table in meanings for meaning in table.values() if meaning not in text] == []


def test_every_log_event_has_its_meaning() -> None:
    """A new event needs an entry in tests/reference/log_events.json; an entry without an event is removed."""
    assert {event.name for event in log_events.events()} == log_events.MEANINGS.keys()


def test_every_error_kind_has_its_meaning() -> None:
    """A new kind needs an entry in tests/reference/error_kinds.json; an entry without a kind is removed."""
    assert error_kinds.kinds() == error_kinds.KINDS.keys()


def test_every_reason_of_a_rejected_request_has_its_meaning() -> None:
    """A new reason needs an entry in tests/reference/rejection_reasons.json; an entry without a reason is removed."""
    assert error_kinds.reasons() == error_kinds.REASONS.keys()


def test_every_example_belongs_to_a_route() -> None:
    """And every route with a body has an example request."""
    operations = {operation["operationId"]: operation for _, _, operation in api.operations(api.openapi())}
    required = {name for name, one in operations.items() if one.get("requestBody", {}).get("required")}
    assert api.EXAMPLES.keys() - operations.keys() == set()
    assert {name for name in required if "body" not in api.EXAMPLES.get(name, {})} == set()


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.operation_id)
def test_an_example_body_is_valid(route: Route[Any, Any]) -> None:
    """The types that check a request accept the example."""
    example = api.EXAMPLES.get(route.operation_id, {}).get("body", {})
    msgspec.json.decode(json.dumps(example), type=route.documented or route.body)


def test_every_word_of_the_languages_is_named() -> None:
    """Node types, handles, operators, filters and tags of Liquid, names in scope, statuses."""
    environment = build_environment()
    unwritten = {"#", "content", "output", "illegal", "doc", "liquid", "echo"}
    words = [*NODE_TYPES, *OPERATORS, *environment.filters, *(set(environment.tags) - unwritten)]
    words += [*ROOTS, *get_args(ExecutionStatus), *get_args(NotificationStatus), "out", "error", "true", "false"]
    text = "".join((REFERENCE / name).read_text() for name in ("nodes.md", "templates.md", "channels.md"))
    named = set(re.findall(r"[a-z0-9_-]+", text, re.IGNORECASE))
    assert sorted(word for word in words if word not in named) == []


def test_every_code_of_the_publishing_checks_is_documented() -> None:
    section = (REFERENCE / "nodes.md").read_text().split("## Checks at publication")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall("`([a-z-]+)`", " ".join(rows))) == set(get_args(Code))
