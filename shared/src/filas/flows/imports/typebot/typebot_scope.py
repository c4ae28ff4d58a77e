"""The names of a typebot while it is converted: its variables, its texts, and the parts that blocks become."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from filas.flows.imports.flow_builder import FlowBuilder
from filas.flows.imports.foreign_fields import text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.simple_expressions import convert_expression
from filas.flows.imports.template_text import joined, literal
from filas.flows.imports.typebot.typebot_document import Block, Target, TypebotDocument

_VARIABLE: Final = re.compile(r"\{\{([^{}]*)\}\}")
_MAX_DEFAULT: Final = 1000


@dataclass(slots=True)
class Part:
    """What a block becomes. `entry` is its first node, None if the block needs none. `exits` are handles of its nodes,
    each with the target of an edge, or None for what follows the block. `jump` replaces what follows."""

    entry: str | None = None
    exits: list[tuple[str, str, Target | None]] = field(default_factory=list)
    jump: Target | None = None
    ends: bool = False


class TypebotScope:
    """The variables and the flow of one typebot."""

    def __init__(self, document: TypebotDocument, builder: FlowBuilder) -> None:
        self.document, self.builder = document, builder
        self._by_id: dict[str, dict[str, Any]] = {}
        self._by_name: dict[str, dict[str, Any]] = {}
        self._declared: dict[str, str] = {}
        for variable in document.variables:
            self._by_id.setdefault(text(variable.get("id")), variable)
            self._by_name.setdefault(text(variable.get("name")).strip(), variable)

    def variable(self, variable_id: object) -> str | None:
        """The name of the variable with that id, or None if there is none."""
        found = self._by_id.get(text(variable_id)) if text(variable_id) else None
        return None if found is None else self._declare(found)

    def named(self, name: str) -> str | None:
        """The name of the variable that has that name in the typebot, or None."""
        found = self._by_name.get(name.strip())
        return None if found is None else self._declare(found)

    def _declare(self, variable: dict[str, Any]) -> str:
        name = text(variable.get("name")).strip() or "variable"
        if name not in self._declared:
            self._declared[name] = self.builder.declare(name, _default(variable.get("value")))
        return self._declared[name]

    def template(self, value: object, report: BlockReport) -> str:
        """The template of a text: `{{Name}}` becomes `{{ vars.name }}`, and everything else is sent as it is."""
        written = text(value)
        parts: list[str] = []
        position = 0
        for found in _VARIABLE.finditer(written):
            parts.append(literal(written[position : found.start()]))
            parts.append(self._inserted(found[1], report))
            position = found.end()
        return joined([*parts, literal(written[position:])])

    def _inserted(self, inner: str, report: BlockReport) -> str:
        code = inner.strip()
        if code.startswith("="):
            expression = self.expression(code.strip("= "))
            if expression is None:
                report.add("code-not-carried", code=code)
                return ""
            return f"{{{{ {expression} }}}}"
        name = self.named(code)
        if name is None:
            report.add("unknown-variable", name=code)
            return ""
        return f"{{{{ vars.{name} }}}}"

    def expression(self, code: str) -> str | None:
        """The expression of a template for simple code, or None."""
        return convert_expression(code, lambda name: f"vars.{found}" if (found := self.named(name)) else None)

    def all_variables(self) -> dict[str, str]:
        """An object with the value of each variable that the flow uses or sets."""
        for variable in self.document.variables[:100]:
            self._declare(variable)
        return {name: f"{{{{ vars.{name} }}}}" for name in self._declared.values()}

    def node(
        self, block: Block, report: BlockReport, node_type: str, data: dict[str, Any], *, word: str = "", shift: int = 0
    ) -> str:
        """Adds a node of a block, and returns its id. `shift` places it beside the block's other nodes."""
        node_id = self.builder.new_id(block.group.title, word or block.type.removesuffix(" input"))
        self.builder.add(node_id, node_type, data, (block.at[0] + 240 * shift, block.at[1]))
        report.nodes.append(node_id)
        return node_id

    def single(self, block: Block, report: BlockReport, node_type: str, data: dict[str, Any], word: str = "") -> Part:
        """The part of a block that is one node, from which one edge leads on."""
        node_id = self.node(block, report, node_type, data, word=word)
        return Part(node_id, [(node_id, "out", None)])


def _default(value: object) -> Any:
    """The value of a variable at the beginning, if it is a text, a number, a boolean or a list of texts."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        items = [text(item) for item in value[:100]]
        return items if sum(map(len, items)) <= _MAX_DEFAULT else None
    return text(value)[:_MAX_DEFAULT] or None
