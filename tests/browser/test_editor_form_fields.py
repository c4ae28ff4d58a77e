"""The form of a node shows and sets every field of the flow's JSON Schema."""

from typing import Any

import pytest
from playwright.async_api import expect

from filas.flows.definition.node_types import NODE_TYPES
from tests.browser.editor_lab import EditorLab
from tests.browser.form_filling import Filling, Path, Samples, arms, data_part, fields, key, kind, part_of
from tests.long_form import by_form

FILLED = by_form(("switch",), tuple(NODE_TYPES))
"""The node types whose fields are all set by the form."""


def leaves(part: str, value: Any, path: Path = ()) -> list[str]:
    """The paths of all controls for a value with every field in it."""
    found: list[str] = []
    for name, field in fields(part).items():
        place = (*path, name)
        arm = arms(field)[0]
        if kind(arm) == "object":
            found += leaves(part_of(arm) or "", value[name], place)
        elif kind(arm) == "list" and "$ref" in arm.get("items", {}):
            found += leaves(part_of(arm["items"]) or "", value[name][0], (*place, 0))
        elif kind(arm) in ("texts", "values"):
            found.append(key((*place, 0)) + "-value")
        else:
            found.append(key((*place, 0) if kind(arm) == "list" else place))
    return found


def everything(samples: Samples, part: str) -> dict[str, Any]:
    """A part with all its fields, also those that exclude each other."""
    value: dict[str, Any] = {}
    for name, field in fields(part).items():
        arm = arms(field)[0]
        if kind(arm) == "object":
            value[name] = everything(samples, part_of(arm) or "")
        elif kind(arm) == "list" and "$ref" in arm.get("items", {}):
            value[name] = [everything(samples, part_of(arm["items"]) or "")]
        else:
            value[name] = samples.of(field, name)
    return value


async def shown(lab: EditorLab) -> set[str]:
    """The paths of the controls in the form."""
    keys = "all => all.map(each => each.dataset.key.replace(/^form-[0-9]+-/, ''))"
    return set(await lab.form.locator("[data-key]").evaluate_all(keys))


async def test_the_form_has_a_control_for_every_field(lab: EditorLab) -> None:
    """Of every node type, and of the flow. A new field of the schema cannot be forgotten."""
    samples = Samples()
    flow = everything(samples, "Flow")
    nodes: list[dict[str, Any]] = [
        {"id": name, "type": name, "data": everything(samples, data_part(name))} for name in NODE_TYPES
    ]
    await lab.start(flow | {"nodes": nodes, "edges": []})
    assert set(leaves("Flow", flow)) - await shown(lab) == set()
    for node in nodes:
        await lab.page.evaluate("id => lab.store.select([id])", node["id"])
        await expect(lab.form.locator("[data-key$='-id']").first).to_have_value(node["id"])
        missing = set(leaves(data_part(node["type"]), node["data"])) - await shown(lab)
        assert missing == set(), node["type"]
        assert await lab.node(node["id"]) == node, "nothing is written before an edit"


@pytest.mark.parametrize("node_type", FILLED)
async def test_every_field_can_be_set_by_the_form(lab: EditorLab, node_type: str) -> None:
    """With each alternative, from a node without data: the JSON is exactly what was entered."""
    part = data_part(node_type)
    for options, wanted in Samples().variants(part):
        await lab.start({"nodes": [{"id": "one", "type": node_type, "data": {}}], "edges": []}, "one")
        filling = Filling(lab.form, lab.prefix)
        await filling.part(part, wanted, options)
        assert (await lab.node("one"))["data"] == wanted, options


async def test_the_settings_and_variables_of_a_flow_can_be_set_by_the_form(lab: EditorLab) -> None:
    """Also the name and the description."""
    wanted = Samples().part("Flow")
    await lab.start({"nodes": [], "edges": []})
    filling = Filling(lab.form, lab.prefix)
    await filling.part("Flow", wanted, {})
    assert await lab.flow() == {"nodes": [], "edges": []} | wanted
