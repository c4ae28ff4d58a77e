"""Imports definitions in the format of the older builder: they are converted to the present format before the checks.

| older                                              | now                                                       |
|----------------------------------------------------|-----------------------------------------------------------|
| `"data": {"apiConfig": {"url": …}}`                | `"data": {"url": …}`                                      |
| `"data": {"setVariableConfig": {…}}`               | the same, for a type whose name has two words             |
| a `webhook` without `mode`                         | `"mode": "trigger"`; `send` where it has a `url`          |
| `{{$node.webhook.body.x}}`, also by the trigger's id | `{{webhook.body.x}}`                                    |
| `{{$node.crm.body.x}}`, `{{$node["crm"].body.x}}`  | `{{nodes.crm.output.body.x}}`                             |
| `"sourceHandle": true`                             | `"sourceHandle": "true"`                                  |

A node's `label`, `onError` and `retry` are kept beside its configuration. Other fields of its `data` belong to the
editor.
"""

import re
from collections.abc import Callable
from typing import Any

from filas.flows.value_limits import MAX_DEPTH, MAX_NODES

_KEPT = ("label", "onError", "retry")
_OPENING = re.compile(r"(?=(\{[{%]))")
_CLOSING = {"{{": "}}", "{%": "%}"}
_REFERENCE = re.compile(
    r"""
    (?P<text> "[^"]*" | '[^']*' )
  | \$node \s* (?: \. \s* (?P<plain> [A-Za-z0-9_-]+ )
                | \[ \s* (?: "(?P<double> [^"]+ )" | '(?P<single> [^']+ )' ) \s* \] )
    (?P<part> \s* \. \s* (?: output | error ) \b )?
    """,
    re.VERBOSE,
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def to_current_format(raw: Any) -> Any:
    """Converts a definition to the present format. Returns a definition that has this format unchanged. Raises
    nothing."""
    nodes = raw.get("nodes") if isinstance(raw, dict) else None
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        return raw  # The checks reject it.
    lifted = [_lift_configuration(node) for node in nodes]
    if any(new is not old for new, old in zip(lifted, nodes, strict=True)):
        lifted = [_add_mode(node) for node in lifted]
    references = _References(lifted)
    made = {**raw, "nodes": [references.rewrite(node) for node in lifted]}
    if isinstance(raw.get("edges"), list):
        made["edges"] = [_rewrite_edge(edge) for edge in raw["edges"]]
    return raw if made == raw else made


def _lift_configuration(node: Any) -> Any:
    """The node with its configuration directly under `data`."""
    if not isinstance(node, dict) or not isinstance(node.get("data"), dict) or not isinstance(node.get("type"), str):
        return node
    data = node["data"]
    first, *words = node["type"].split("-")
    camel = first + "".join(word.capitalize() for word in words)
    for key in (f"{camel}Config", f"{node['type']}Config"):
        if isinstance(data.get(key), dict):
            return {**node, "data": {**{name: data[name] for name in _KEPT if name in data}, **data[key]}}
    return node


def _add_mode(node: Any) -> Any:
    if not isinstance(node, dict) or node.get("type") != "webhook":
        return node
    data = node.get("data", {})
    if not isinstance(data, dict) or "mode" in data:
        return node
    return {**node, "data": {**data, "mode": "send" if "url" in data else "trigger"}}


def _rewrite_edge(edge: Any) -> Any:
    if isinstance(edge, dict) and isinstance(edge.get("sourceHandle"), bool):
        return {**edge, "sourceHandle": "true" if edge["sourceHandle"] else "false"}
    return edge


class _References:
    """Rewrites `$node.…`. `$node.webhook` is the trigger's data, unless another node has that id."""

    def __init__(self, nodes: list[Any]) -> None:
        self._triggers = {"webhook"}
        for node in nodes:
            if isinstance(node, dict) and isinstance(node.get("id"), str):
                data = node.get("data")
                starts = node.get("type") == "webhook" and isinstance(data, dict) and data.get("mode") == "trigger"
                (self._triggers.add if starts else self._triggers.discard)(node["id"])

    def rewrite(self, node: Any) -> Any:
        """The node with every reference in its data rewritten."""
        if not isinstance(node, dict) or not isinstance(node.get("data"), dict):
            return node
        return {**node, "data": self._rewrite(node["data"], self._rewrite_templates, 0)}

    def _rewrite(self, value: Any, change: Callable[[str], str], depth: int) -> Any:
        if isinstance(value, str):
            return change(value) if "$node" in value else value
        if depth > MAX_DEPTH:
            return value  # The checks reject it.
        if isinstance(value, list):
            return [self._rewrite(item, change, depth + 1) for item in value]
        if isinstance(value, dict):
            # An expression is CEL, without braces.
            inner = {name: self._rewrite_text if name == "expression" else change for name in value}
            return {name: self._rewrite(item, inner[name], depth + 1) for name, item in value.items()}
        return value

    def _rewrite_templates(self, text: str) -> str:
        """The text with its `{{ … }}` and `{% … %}` rewritten. Each end is searched once, so the time is linear."""
        made: list[str] = []
        position, unclosed = 0, set[str]()
        for found in _OPENING.finditer(text):
            begin, opening = found.start(), found[1]
            if begin < position or opening in unclosed:
                continue
            end = text.find(_CLOSING[opening], begin + 2)
            if end < 0:
                unclosed.add(opening)
                continue
            made += text[position:begin], self._rewrite_text(text[begin : end + 2])
            position = end + 2
        return "".join([*made, text[position:]])

    def _rewrite_text(self, text: str) -> str:
        return _REFERENCE.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        if found["text"] is not None:
            return found["text"]
        name = found["plain"] or found["double"] or found["single"]
        part = "." + found["part"].strip(" .") if found["part"] else ".output"
        if name in self._triggers and part == ".output":
            return "webhook"
        member = f".{name}" if _IDENTIFIER.fullmatch(name) else f'["{name}"]' if '"' not in name else f"['{name}']"
        return f"nodes{member}{part}"
