"""The JSON Schema of definitions: it accepts every definition that the checks accept, and rejects what the
types of the fields reject."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.definition import editor_hints
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


def test_every_hint_is_of_a_field_that_exists() -> None:
    """A renamed field takes its hint along."""
    schema = json_schema()
    parts = {"Flow": schema, **schema["$defs"]}
    fields = {f"{name}.{field}" for name, part in parts.items() for field in part["properties"]}
    assert set(editor_hints.FIELDS) - fields == set()
    assert set(editor_hints.COMMON) - {name.partition(".")[2] for name in fields} == set()
    for name, hints in editor_hints.PARTS.items():
        for group in hints.get("alternatives", ()):
            named = {field for option in group["options"].values() for field in option}
            assert {f"{name}.{field}" for field in named} - fields == set()
    assert {hints["format"] for hints in editor_hints.FIELDS.values() if "format" in hints} <= set(editor_hints.FORMATS)


@pytest.mark.parametrize("node_type", NODE_TYPES)
def test_the_fields_with_templates_are_those_that_the_engine_renders(node_type: str) -> None:
    """A form completes names in exactly those fields."""
    data = NODE_TYPES[node_type]
    part = json_schema()["$defs"][data.__name__]
    filled = msgspec.convert({name: _filled(field) for name, field in part["properties"].items()}, data)
    rendered = {re.sub(r"\[\d+\]", "", field) for field, value in filled.templates() if value is not None}
    assert set(_hinted(part)) == {field.removesuffix(".x") for field in rendered}


def _filled(field: dict[str, Any]) -> Any:
    """A value with every field in it, lists with one item."""
    field = next((arm for arm in field.get("anyOf", [field]) if arm.get("type") != "null"), field)
    if "$ref" in field:
        part = json_schema()["$defs"][field["$ref"].rpartition("/")[2]]
        return {name: _filled(inner) for name, inner in part["properties"].items()}
    if "enum" in field:
        return field["enum"][0]
    if field.get("type") == "array":
        is_status = "pattern" in field.get("items", {})
        return ["429"] if is_status else [_filled(field.get("items", {}))]
    value = {"object": {"x": "y"}, "boolean": True, "integer": field.get("minimum", 1), "number": 1}
    return value.get(field.get("type", ""), "xx")


def _hinted(part: dict[str, Any], path: str = "") -> Iterator[str]:
    """Each field with the hint `template`, also of the parts within."""
    for name, field in part["properties"].items():
        if field.get("x-editor", {}).get("template"):
            yield path + name
        for arm in (arm.get("items", arm) for arm in field.get("anyOf", [field])):
            if "$ref" in arm:
                yield from _hinted(json_schema()["$defs"][arm["$ref"].rpartition("/")[2]], f"{path}{name}.")
