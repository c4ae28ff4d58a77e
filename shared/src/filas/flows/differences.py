"""The differences between two definitions of a flow."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["added", "removed", "changed"]

DRAWING: Final = "drawing"
"""The field of a difference that executions do not see: positions, and other data of an editor."""

_ABSENT: Any = object()
_PARTS = ("nodes", "edges", "variables")


class Difference(NamedTuple):
    """One difference. `part` is `flow`, `node`, `variable` or `edge`, `name` identifies it, and `field` is the place in
    it. An added item has no `before`, and a removed item has no `after`."""

    kind: Kind
    part: str
    name: str
    field: str
    before: Any = None
    after: Any = None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Returns every difference that can change an execution, and one for all differences of the drawing."""
    found = [
        *_fields("flow", "", _rest(before), _rest(after)),
        *_items("variable", _by_name(before, "variables", "name"), _by_name(after, "variables", "name")),
        *_items("node", _nodes(before), _nodes(after)),
        *_edges(before, after),
    ]
    if not found and before != after:
        found.append(Difference("changed", "flow", "", DRAWING))
    return found


def moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns the nodes of both definitions whose place in the drawing differs, in the order of `after`."""
    old = _by_name(before, "nodes", "id")
    return [
        name
        for name, node in _by_name(after, "nodes", "id").items()
        if name in old and node.get("position") != old[name].get("position")
    ]


def _rest(flow: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the flow without its parts and without the data of an editor."""
    return {name: value for name, value in flow.items() if name not in (*_PARTS, "viewport", "notes", "id")}


def _by_name(flow: Mapping[str, Any], part: str, key: str) -> dict[str, Any]:
    items = flow.get(part)
    found = items if isinstance(items, list) else []
    return {str(item.get(key)): item for item in found if isinstance(item, dict)}


def _nodes(flow: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of each node that the engine reads."""
    nodes = _by_name(flow, "nodes", "id")
    return {name: {"type": node.get("type"), "data": node.get("data", {})} for name, node in nodes.items()}


def _items(part: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for name, item in before.items():
        if name not in after:
            yield Difference("removed", part, name, "", before=item)
    for name, item in after.items():
        if name not in before:
            yield Difference("added", part, name, "", after=item)
        else:
            yield from _fields(part, name, before[name], item)


def _edges(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Compares edges by their source and target, not by their ids. The order of the edges of one handle counts too."""
    olds, news = _targets_by_handle(before), _targets_by_handle(after)
    for way, targets in olds.items():
        kept = set(news.get(way, ()))
        for target in targets:
            if target not in kept:
                yield Difference("removed", "edge", f"{way} → {target}", "")
    for way, targets in news.items():
        known = set(olds.get(way, ()))
        for target in targets:
            if target not in known:
                yield Difference("added", "edge", f"{way} → {target}", "")
        old = olds.get(way, [])
        if old != targets and sorted(old) == sorted(targets):
            yield Difference("changed", "edge", way, "order", old, targets)


def _targets_by_handle(flow: Mapping[str, Any]) -> dict[str, list[str]]:
    edges = flow.get("edges")
    ways: dict[str, list[str]] = {}
    for edge in edges if isinstance(edges, list) else []:
        if isinstance(edge, dict):
            handle = edge.get("sourceHandle")
            way = f"{edge.get('source')}.{handle}" if handle else str(edge.get("source"))
            ways.setdefault(way, []).append(str(edge.get("target")))
    return ways


def _fields(part: str, name: str, before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _fields(part, name, before.get(key, _ABSENT), after.get(key, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else _ABSENT
            new = after[index] if index < len(after) else _ABSENT
            yield from _fields(part, name, old, new, f"{path}[{index}]")
    elif before is _ABSENT:
        yield Difference("added", part, name, path, after=after)
    elif after is _ABSENT:
        yield Difference("removed", part, name, path, before=before)
    elif type(before) is not type(after) or before != after:
        yield Difference("changed", part, name, path, before, after)
