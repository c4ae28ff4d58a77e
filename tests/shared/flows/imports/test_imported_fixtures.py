"""Whole documents: the flow can be published, and each block has one entry in the report."""

from typing import Any

import pytest

from filas.flows import publishing_checks
from filas.flows.imports.flow_builder import ImportRefused
from filas.flows.imports.importing import import_flow
from filas.flows.imports.node_places import GAP, WIDTH, height_of
from tests.shared.flows.imports.typebots import (
    NAMES,
    converted,
    data_of,
    edges_of,
    fixture,
    imported,
    notes_of,
    said,
    typebot,
)


def source_ids(document: dict[str, Any]) -> list[str]:
    """The ids of everything in a document that the report has to name."""
    if "nodes" in document:
        return [node["id"] for node in document["nodes"]]
    blocks = [block for group in document["groups"] for block in group["blocks"] if block["type"] != "start"]
    events = [event for event in document.get("events", []) if event["type"] != "start"]
    return [one["id"] for one in (*blocks, *events)]


@pytest.mark.parametrize("name", NAMES)
def test_the_flow_can_be_published(name: str) -> None:
    """Without errors, with an entry for each block, whose nodes exist, and without nodes on one another."""
    found = imported(name)
    definition, problems = publishing_checks.check(found.definition)
    assert [one for one in problems if one.severity == "error"] == []
    assert definition is not None
    assert [block.id for block in found.blocks] == source_ids(fixture(name))
    nodes = {node["id"]: node["position"] for node in found.definition["nodes"]}
    named = [node for block in found.blocks for node in block.nodes]
    assert set(named) <= set(nodes)
    added = {node["id"] for node in found.definition["nodes"] if node["data"].get("label") == "Between two rounds"}
    assert set(nodes) - set(named) <= {"start"} | added
    places = [(node["position"]["x"], node["position"]["y"], height_of(node)) for node in found.definition["nodes"]]
    for index, (x, y, height) in enumerate(places):
        for other_x, other_y, other_height in places[:index]:
            is_beside = abs(x - other_x) >= WIDTH
            assert is_beside or y >= other_y + other_height + GAP or other_y >= y + height + GAP


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_out_states_why(name: str) -> None:
    """Each entry that is not carried has a note with a text in which every parameter is filled in."""
    for block in imported(name).blocks:
        assert block.notes or block.status == "carried"
        for note in block.notes:
            assert "{" not in note.message.replace("{{", "").replace("{%", "") or "{" in str(note.parameters)


def test_edges_of_older_versions() -> None:
    """The start is a block, edges name groups and blocks, a webhook is named by its id."""
    found = imported("typebot-v3")
    assert edges_of(found) >= {
        ("start", "out", "group-1-text"),
        ("group-1-choose", "Segunda", "group-2-request"),
        ("group-1-choose", "out", "group-2-text"),
        ("group-2-condition", "true", "group-3-set-tentativas"),
        ("group-2-condition", "false", "group-1-choose"),
    }
    [request] = [node for node in found.definition["nodes"] if node["type"] == "api"]
    assert request["data"]["query"] == {"day": "{{ vars.dia }}"}


def test_a_cycle_that_never_waits_gets_a_delay() -> None:
    """Of one second, at the edge that leads back."""
    found = converted(said("a"), {"type": "Jump", "options": {"groupId": "g1"}})
    assert data_of(found, "delay")["ms"] == 1000
    assert edges_of(found) == {
        ("start", "out", "main-text"),
        ("main-text", "out", "main-text-delay"),
        ("main-text-delay", "out", "main-text"),
    }
    assert notes_of(found, "b1") == ("changed", ["cycle-delayed"])


def test_a_circle_of_jumps_ends() -> None:
    """Nothing runs in it."""
    found = converted(said("a"), {"type": "Jump", "options": {"groupId": "g1", "blockId": "b2"}})
    assert edges_of(found) == {("start", "out", "main-text")}


def test_what_nothing_leads_to_is_left_out() -> None:
    """With its nodes."""
    group = {"id": "g2", "title": "Draft", "blocks": [{"id": "c1", **said("x")}, {"id": "c2", "type": "text input"}]}
    found = converted(said("a"), groups=[group])
    assert len(found.definition["nodes"]) == 2
    assert notes_of(found, "c1") == notes_of(found, "c2") == ("left-out", ["unreachable"])


@pytest.mark.parametrize(
    ("product", "document", "message"),
    [
        ("typebot", [], "not an exported typebot"),
        ("typebot", {"blocks": [], "version": None}, "version before 3"),
        ("typebot", {"groups": []}, "has no start"),
        ("typebot", {"groups": [{"id": "g", "blocks": [{"type": "text"}] * 1001}]}, "more than 1000 blocks"),
        ("typebot", typebot(said("x")) | {"edges": [{}] * 5001}, "more than 5000 edges"),
        ("typebot", typebot(*[{"type": "payment input"}] * 1000), "more than 1000 nodes"),
        ("n8n", {}, "not a workflow of n8n"),
        ("n8n", {"nodes": [], "connections": {}}, "has no nodes"),
        ("n8n", {"nodes": [{"name": "a", "type": "webhook"}], "connections": {}}, "no node besides its trigger"),
        ("n8n", {"nodes": [{}] * 1001, "connections": {}}, "more than 1000 nodes"),
    ],
)
def test_what_is_no_document_is_refused(product: Any, document: Any, message: str) -> None:
    """With one sentence that states why."""
    with pytest.raises(ImportRefused, match=message):
        import_flow(product, document)
