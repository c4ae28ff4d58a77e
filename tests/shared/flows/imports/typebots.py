"""Small typebots for tests, in the documented format of version 6, and the fixtures."""

import json
from pathlib import Path
from typing import Any

from filas.flows import publishing_checks
from filas.flows.imports.importing import ImportedFlow, import_flow

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

VARIABLES = ("Nome", "Score", "Itens", "Dia")


def fixture(name: str) -> Any:
    """The document of a fixture."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def imported(name: str) -> ImportedFlow:
    """A fixture, imported."""
    return import_flow("typebot" if name.startswith("typebot") else "n8n", fixture(name))


def said(*lines: str) -> dict[str, Any]:
    """A text bubble."""
    return {"type": "text", "content": {"richText": [{"type": "p", "children": [{"text": line}]} for line in lines]}}


def typebot(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A typebot with one group. Its blocks have the ids b1, b2 and so on. `more` replaces parts of it."""
    numbered = [{"id": f"b{index}", **block} for index, block in enumerate(blocks, 1)]
    group = {"id": "g1", "title": "Main", "graphCoordinates": {"x": 0, "y": 0}, "blocks": numbered}
    return {
        "version": "6",
        "name": "Test",
        "events": [{"id": "start", "type": "start", "outgoingEdgeId": "first"}],
        "groups": [group, *more.pop("groups", [])],
        "edges": [{"id": "first", "from": {"eventId": "start"}, "to": {"groupId": "g1"}}, *more.pop("edges", [])],
        "variables": [{"id": f"v{index}", "name": name} for index, name in enumerate(VARIABLES, 1)],
        **more,
    }


def converted(*blocks: dict[str, Any], **more: Any) -> ImportedFlow:
    """A typebot with one group, imported, after a check that the flow can be published."""
    found = import_flow("typebot", typebot(*blocks, **more))
    errors = [one for one in publishing_checks.check(found.definition)[1] if one.severity == "error"]
    assert errors == []
    return found


def data_of(found: ImportedFlow, node_type: str) -> dict[str, Any]:
    """The data of the only node of that type that is no trigger."""
    [node] = [
        one for one in found.definition["nodes"] if one["type"] == node_type and one["data"].get("mode") != "trigger"
    ]
    data: dict[str, Any] = node["data"]
    return data


def notes_of(found: ImportedFlow, block_id: str) -> tuple[str, list[str]]:
    """The status of a block and the codes of its notes."""
    [block] = [one for one in found.blocks if one.id == block_id]
    return block.status, [note.code for note in block.notes]


def edges_of(found: ImportedFlow) -> set[tuple[str, str, str]]:
    """The edges as triples: the source, the handle, the target."""
    return {(one["source"], one["sourceHandle"], one["target"]) for one in found.definition["edges"]}
