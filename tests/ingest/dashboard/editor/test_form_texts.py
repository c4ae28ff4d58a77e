"""The forms of the flow editor have a text for everything in the flow's JSON Schema, in both languages."""

import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from filas.flows.definition.json_schema import json_schema
from filas.flows.definition.node_types import NODE_TYPES
from filas.messages.catalogue import LANGUAGES, Language, Message
from ingest.dashboard.presentation.texts import page_messages

NOT_IN_FORMS = {"Node", "Edge", "Note", "NotePosition"}
"""The canvas draws these parts."""

KINDS = {"string": "text", "array": "list", "object": "values"}


def parts() -> dict[str, dict[str, Any]]:
    """Each part of the schema whose fields are shown."""
    schema = json_schema()
    return {"Flow": schema} | {name: part for name, part in schema["$defs"].items() if name not in NOT_IN_FORMS}


def fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each field that a form shows: its part, its name and its schema."""
    for part, described in parts().items():
        for name, field in described["properties"].items():
            if not field.get("x-editor", {}).get("hidden"):
                yield part, name, field


def arms(field: dict[str, Any]) -> list[dict[str, Any]]:
    """The types of a field, without null."""
    return [arm for arm in field.get("anyOf", [field]) if arm.get("type") != "null"]


def values() -> Iterator[tuple[str, str, str]]:
    """Each value, option and type that is a choice: its part, its field or group, and itself."""
    yield from (("Node", "type", node_type) for node_type in NODE_TYPES)
    for part, name, field in fields():
        if len(arms(field)) > 1:
            yield from ((part, name, "object" if "$ref" in arm else KINDS[arm["type"]]) for arm in arms(field))
        yield from ((part, name, value) for arm in arms(field) for value in arm.get("enum", ()))
        if field.get("x-editor", {}).get("empty"):
            yield part, name, "empty"
    for part, described in parts().items():
        for group in described.get("x-editor", {}).get("alternatives", ()):
            yield from ((part, group["name"], option) for option in group["options"])


def has(messages: dict[str, Message], section: str, *name: str) -> bool:
    """Whether there is a text of a part's field, or of all fields with that name."""
    return f"{section}.{'.'.join(name)}" in messages or f"{section}.{'.'.join(name[1:])}" in messages


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_has_a_label_and_one_sentence_of_help(language: Language) -> None:
    """A new field of a node is not forgotten."""
    messages = page_messages(language)
    missing = [
        f"{section}.{part}.{name}"
        for part, name, _ in fields()
        for section in ("editor-fields", "editor-help")
        if not has(messages, section, part, name)
    ]
    assert missing == []
    helped = {name: text for name, text in messages.items() if name.startswith("editor-help.")}
    assert [name for name, text in helped.items() if not isinstance(text, str) or not text.endswith(".")] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_choice_has_a_text(language: Language) -> None:
    """And every group of alternatives, node type and part that is a row."""
    messages = page_messages(language)
    assert [value for value in values() if not has(messages, "editor-values", *value)] == []
    groups = [(part, group) for part, described in parts().items() for group in groups_of(described)]
    assert [group for group in groups if not has(messages, "editor-fields", *group)] == []
    assert [name for name in NODE_TYPES if f"editor-help.Node.{name}" not in messages] == []
    rows = {arm["items"]["$ref"] for _, _, field in fields() for arm in arms(field) if "$ref" in arm.get("items", {})}
    rows = {row.rpartition("/")[2] for row in rows} - NOT_IN_FORMS
    assert [row for row in rows if f"editor-parts.{row}" not in messages] == []


def groups_of(described: dict[str, Any]) -> list[str]:
    """The names of a part's groups that are choices of their own."""
    groups = described.get("x-editor", {}).get("alternatives", ())
    return [group["name"] for group in groups if "by" not in group]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_for_a_field_that_does_not_exist(language: Language) -> None:
    """A renamed or removed field takes its texts along."""
    file = resources.files("ingest.dashboard").joinpath("messages", language, "editor_fields.toml")
    sections = tomllib.loads(file.read_text(encoding="utf-8"))
    names = {(part, name) for part, name, _ in fields()} | {("Node", "id")}
    names |= {(part, group) for part, described in parts().items() for group in groups_of(described)}
    known = {f"{part}.{name}" for part, name in names} | {name for _, name in names}
    chosen = set(values())
    options = {".".join(value) for value in chosen} | {".".join(value[1:]) for value in chosen}
    assert set(sections["editor-fields"]) - known == set()
    assert set(sections["editor-help"]) - known - {f"Node.{name}" for name in NODE_TYPES} == set()
    assert set(sections["editor-values"]) - options == set()
    assert set(sections["editor-parts"]) <= set(parts())
