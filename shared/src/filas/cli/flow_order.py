"""The order in which `filas flows apply` stores several flows: a flow after the flows that it uses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filas.cli.json_documents import Document


def in_order_of_use(documents: Sequence[tuple[str, Document]]) -> Iterator[tuple[str, Document, bool]]:
    """Each flow after those of `documents` that it uses. True: it comes before one of them, because flows use each
    other in a circle."""
    by_name = dict(documents)
    if len(by_name) < len(documents):
        yield from ((name, document, False) for name, document in documents)  # One flow in several files.
        return
    used = {name: _used(document.value) & (by_name.keys() - {name}) for name, document in documents}
    done: set[str] = set()
    for name in _after_used(used):
        yield name, by_name[name], not used[name] <= done
        done.add(name)


def _after_used(used: Mapping[str, set[str]]) -> Iterator[str]:
    """Depth-first: each name after those that it uses, except in a circle."""
    seen: set[str] = set()
    for start in used:
        pending = [(start, False)]
        while pending:
            name, is_left = pending.pop()
            if is_left:
                yield name
            elif name not in seen:
                seen.add(name)
                pending.append((name, True))
                pending += [(other, False) for other in sorted(used[name], reverse=True)]


def _used(definition: dict[str, Any]) -> set[str]:
    """The ids of flows that a definition names. The definition may be of any form."""
    settings, nodes = definition.get("settings"), definition.get("nodes")
    found: list[Any] = []
    if isinstance(settings, dict):
        found += [settings.get("errorFlowId"), settings.get("undeliveredFlowId")]
    for node in nodes if isinstance(nodes, list) else ():
        data = node.get("data") if isinstance(node, dict) else None
        if isinstance(data, dict):
            found += [part.get("flowId") for part in (data, data.get("subflowConfig")) if isinstance(part, dict)]
    return {name for name in found if isinstance(name, str)}
