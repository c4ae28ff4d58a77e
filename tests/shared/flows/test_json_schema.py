"""The JSON Schema of definitions: it takes what the checks take, and refuses what the types refuse."""

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


def test_it_is_a_schema() -> None:
    """By the schema of schemas."""
    assert jsonschema_rs.meta.is_valid(json_schema())


@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_the_gallery_fits(file: Path) -> None:
    VALIDATOR.validate(json.loads(file.read_text()))


def test_the_definition_of_the_documentation_fits_and_may_name_its_schema() -> None:
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
def test_what_the_types_refuse_it_refuses(path: str, value: Any) -> None:
    assert check(changed(path, value))[1]
    assert not VALIDATOR.is_valid(changed(path, value))


@settings(max_examples=examples(300), deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=3))
def test_it_is_never_stricter_than_the_checks(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    definition = replaced(GOOD, changes)
    if not check(definition)[1]:
        VALIDATOR.validate(json.loads(json.dumps(definition)))


def test_it_has_every_field_of_the_readme() -> None:
    """And of each node type: nothing that the README names is missing for an editor."""
    parts = json_schema()["$defs"]
    named = {data.__name__: name for name, data in NODE_TYPES.items()}
    there = {(named[part], field) for part in named for field in parts[part]["properties"]}
    owners = set(NODE_TYPES)
    wanted = {(row.owner, row.field.partition(".")[0].removesuffix("[]")) for row in rows() if row.owner in owners}
    assert wanted - there == set()


def test_its_words_are_those_of_json() -> None:
    """No name of Python's in a description."""
    for part in json_schema()["$defs"].values():
        assert not re.search("[a-z]_[a-z]", part["description"]), part["title"]
