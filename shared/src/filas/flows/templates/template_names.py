"""The names that templates may use, and the errors of names that a template uses."""

from collections.abc import Collection, Iterator

import msgspec

from filas.flows.root_names import ROOTS
from filas.flows.templates.template import Reference

_MEMBERS: dict[str, tuple[str, ...]] = {
    "webhook": ("body", "form", "headers", "queryParams", "method", "webhookId"),
    "conversation": ("contact", "text", "channel", "id", "vars", "message"),
    "execution": ("id", "flowId", "version", "resumeUrls"),
}
_OF_NODE = ("output", "error")


class TemplateNames(msgspec.Struct, frozen=True):
    """The names that a flow declares."""

    variables: Collection[str]
    nodes: Collection[str]
    waits: Collection[str] = ()
    """The nodes that wait for a callback."""
    loop: Collection[str] = ()
    """The names under `loop` at the template's node; empty outside of loops."""

    def problems(self, references: tuple[Reference, ...]) -> Iterator[str]:
        """One error for each unknown name."""
        for reference in references:
            problem = self._problem(reference)
            if problem:
                yield problem

    def _problem(self, reference: Reference) -> str | None:
        root, member, inner = (*reference, None, None)[:3]
        if root not in ROOTS:
            return f"unknown name {root!r}; known are {', '.join(ROOTS)}"
        if root == "loop":
            return self._loop(member)
        if member is None or root == "secrets":
            return None
        if root == "nodes":
            return self._node(member, inner)
        if root in _MEMBERS:
            return self._member(str(root), member, inner)
        return self._variable(member)

    def _member(self, root: str, member: str | int, inner: str | int | None) -> str | None:
        if member not in _MEMBERS[root]:
            return f"unknown name '{root}.{member}'; known are {', '.join(_MEMBERS[root])}"
        if member == "resumeUrls" and inner is not None and inner not in self.waits:
            return f"'{inner}' is not a node that waits for a call (webhook, mode wait)"
        return self._variable(inner) if (root, member) == ("conversation", "vars") else None

    def _node(self, name: str | int, inner: str | int | None) -> str | None:
        if name not in self.nodes:
            return f"unknown node '{name}'"
        return None if inner is None or inner in _OF_NODE else f"a node has {' and '.join(_OF_NODE)}, not '{inner}'"

    def _loop(self, member: str | int | None) -> str | None:
        if not self.loop:
            return "`loop` is known only inside a loop"
        if member is None or member in self.loop:
            return None
        return f"unknown name 'loop.{member}'; known are {', '.join(sorted(self.loop))}"

    def _variable(self, name: str | int | None) -> str | None:
        if name is None or name in self.variables:
            return None
        return f"unknown variable '{name}'; declare it under variables"
