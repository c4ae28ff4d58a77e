"""The JSON Schema of definitions: it accepts every definition that the checks accept, and rejects what the
types of the fields reject."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.definition.json_schema import json_schema
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.publishing_checks import check
from tests.long_form import examples
from tests.reference.nodes import rows
from tests.shared.flows.test_checks import GOOD, JSON, PATHS, changed, replaced

GALLERY = sorted((Path(__file__).parents[3] / "deploy" / "examples" / "flows").glob("*.json"))
VALIDATOR = jsonschema_rs.Draft202012Validator(json_schema())


def test_the_schema_is_valid() -> None:
    """It conforms to the meta-schema of draft 2020-12."""
    assert jsonschema_rs.meta.is_valid(json_schema())


@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_the_schema_accepts_the_gallery(file: Path) -> None:
    VALIDATOR.validate(json.loads(file.read_text()))


def test_the_schema_accepts_the_design_example_and_a_schema_field() -> None:
    definition = GOOD | {"$schema": "http://127.0.0.1:8081/api/flows/schema.json"}
    VALIDATOR.validate(definition)
    assert check(definition)[1] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nodes.2.data.timeoutMS", 5),
        ("nodes.2.data.timeoutMs", 60000),
        ("nodes.2.data.method", "FETCH"),
        ("nodes.2.data.url", ...),
        ("nodes.2.data.retry.on", ["always"]),
        ("nodes.1.data.rules.0.operator", "like"),
        ("nodes.3.type", "massage"),
        ("nodes.6.data", ...),
        ("nodes.7.id", ...),
        ("nodes", []),
        ("edges.0.target", ...),
        ("variables.0.type", "text"),
        ("settings.maxSteps", 0),
        ("varables", []),
    ],
)
def test_the_schema_rejects_what_the_types_reject(path: str, value: Any) -> None:
    assert check(changed(path, value))[1]
    assert not VALIDATOR.is_valid(changed(path, value))


@settings(max_examples=examples(300), deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=3))
def test_the_schema_is_never_stricter_than_the_checks(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    definition = replaced(GOOD, changes)
    if not check(definition)[1]:
        VALIDATOR.validate(json.loads(json.dumps(definition)))


def test_the_schema_has_every_documented_field() -> None:
    """And of each node type: nothing that the README names is missing for an editor."""
    parts = json_schema()["$defs"]
    named = {data.__name__: name for name, data in NODE_TYPES.items()}
    there = {(named[part], field) for part in named for field in parts[part]["properties"]}
    owners = set(NODE_TYPES)
    wanted = {(row.owner, row.field.partition(".")[0].removesuffix("[]")) for row in rows() if row.owner in owners}
    assert wanted - there == set()


def test_descriptions_use_the_field_names_of_json() -> None:
    """No description has a name in snake_case."""
    for part in json_schema()["$defs"].values():
        assert not re.search("[a-z]_[a-z]", part["description"]), part["title"]
