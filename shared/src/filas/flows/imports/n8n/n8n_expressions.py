"""Expressions of n8n (`=Hello {{ $json.name }}`) as templates. What cannot be written as one becomes a variable."""

import re
from typing import Any, Final

from filas.flows.imports.foreign_fields import text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.n8n.n8n_scope import N8nScope, Step, steps
from filas.flows.imports.simple_expressions import MAX_CHARS, convert_expression
from filas.flows.imports.template_text import joined, literal, quoted
from filas.flows.value_limits import MAX_DEPTH

_EXPRESSION: Final = re.compile(r"\{\{((?:(?!\{\{).)*?)\}\}", re.DOTALL)
_START: Final = re.compile(
    r"""(?: (?P<json> \$json | \$input \. (?: item | first\(\) | last\(\) ) \. json )
      | \$node \s* (?: \[ \s* (?: "(?P<d1> [^"]+ )" | '(?P<s1> [^']+ )' ) \s* \] | \. (?P<n1> [A-Za-z_]\w* ) ) \. json
      | \$ \( \s* (?: "(?P<d2> [^"]+ )" | '(?P<s2> [^']+ )' ) \s* \)
          \. (?: item | first\(\) | last\(\) | all\(\)\[0\] ) \. json
      | (?P<other> \$now | \$today | \$execution\.id | \$workflow\.name | \$vars\.[A-Za-z_]\w* | \$env\.[A-Za-z_]\w* )
      ) (?P<rest> .* )\Z""",
    re.VERBOSE | re.DOTALL,
)
_STEP: Final = re.compile(
    r"""(?: \??\. (?P<name> [A-Za-z_$][\w$]* ) (?! [\w$] | \s*\( )
      | \[ \s* (?: (?P<index> \d{1,6} ) | "(?P<double> [^"]+ )" | '(?P<single> [^']+ )' ) \s* \] )""",
    re.VERBOSE,
)
_METHOD: Final = re.compile(r"""\.(?P<name> \w+ ) \( (?P<arguments> [^()]* ) \)""", re.VERBOSE)
_SIMPLE_METHODS: Final = {
    "toUpperCase": "upcase",
    "toLowerCase": "downcase",
    "trim": "strip",
    "toString": "append: ''",
    "toISO": "append: ''",
    "toJsonString": "json",
    "first": "first",
    "last": "last",
}
_TEXT_METHODS: Final = {"split": "split", "join": "join", "replaceAll": "replace", "replace": "replace_first"}
_CALLS: Final = {"JSON.stringify": "json", "Number": "plus: 0", "parseInt": "plus: 0", "String": "append: ''"}
_FIXED: Final = {
    "$now": '"now" | date: "%Y-%m-%dT%H:%M:%S%z"',
    "$today": '"now" | date: "%Y-%m-%d"',
    "$execution.id": "execution.id",
}


class N8nExpressions:
    """Converts the values of one node's parameters."""

    def __init__(self, node: str, scope: N8nScope, report: BlockReport) -> None:
        self._node, self.scope, self.report = node, scope, report

    def template(self, value: object) -> str:
        """The template of a parameter: fixed text, or an expression that begins with `=`."""
        written = text(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if not written.startswith("="):
            return literal(written)
        written = written[1:]
        parts: list[str] = []
        position = 0
        for found in _EXPRESSION.finditer(written):
            parts.append(literal(written[position : found.start()]))
            parts.append(f"{{{{ {self.expression(found[1])} }}}}")
            position = found.end()
        return joined([*parts, literal(written[position:])])

    def value(self, value: object, depth: int = 0) -> Any:
        """The JSON of a parameter with templates."""
        if isinstance(value, str):
            return self.template(value)
        if depth >= MAX_DEPTH - 4:
            return None
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value[:1000]]
        if isinstance(value, dict):
            return {text(name)[:200]: self.value(item, depth + 1) for name, item in list(value.items())[:1000]}
        return value if isinstance(value, bool) or value is None else self._number(value)

    @staticmethod
    def _number(value: object) -> Any:
        written = text(value)
        return value if written else None

    def expression(self, code: str) -> str:
        """The expression of a template for the code in `{{ }}`. Always returns one that is valid."""
        code = code.strip()
        found = self._simple(code) if len(code) <= MAX_CHARS else None
        return found if found is not None else self.scope.unknown(["expression"], self.report, code)

    def _simple(self, code: str) -> str | None:
        for call, name in _CALLS.items():
            if code.startswith(f"{call}(") and code.endswith(")"):
                inner = self._simple(code[len(call) + 1 : -1].partition(",")[0].strip())
                return None if inner is None else f"{inner} | {name}"
        alternatives = re.split(r"\|\||\?\?", code)
        if len(alternatives) == 2:
            first, second = (self._simple(part.strip()) for part in alternatives)
            return None if first is None or second is None or "|" in second else f"{first} | default: {second}"
        whole = self._path(code)
        return whole if whole is not None else convert_expression(code, self._path)

    def _path(self, code: str) -> str | None:
        """The expression of one path with its methods, or None."""
        if code in ("true", "false", "null"):
            return "nil" if code == "null" else code
        found = _START.match(code)
        if found is None:
            return None
        rest = found["rest"]
        path: list[Step] = []
        while step := _STEP.match(rest):
            if step["name"] == "length" and not rest[step.end() :].strip():
                break
            path.append(int(step["index"]) if step["index"] else step["name"] or step["double"] or step["single"])
            rest = rest[step.end() :]
            if len(path) > MAX_DEPTH:
                return None
        filters = _methods(rest)
        if filters is None:
            return None
        return self._root(found, path, code) + filters

    def _root(self, found: re.Match[str], path: list[Step], code: str) -> str:
        other = found["other"]
        if other is None:
            name = found["d1"] or found["s1"] or found["n1"] or found["d2"] or found["s2"]
            if name is None:
                return self.scope.before(self._node, path, self.report, code)
            return self.scope.output(name, path, self.report, code)
        if other in _FIXED:
            return _FIXED[other]
        if other == "$workflow.name":
            return quoted(self.scope.workflow.name) or "execution.flowId"
        return self.scope.unknown([other.partition(".")[2]], self.report, code) + steps(path)


def _methods(rest: str) -> str | None:
    """The filters of a chain of methods, or None if one has no filter."""
    filters = ""
    rest = rest.strip()
    while rest:
        if rest == ".length":
            return f"{filters} | size"
        found = _METHOD.match(rest)
        if found is None:
            return None
        rest = rest[found.end() :].strip()
        name, arguments = found["name"], found["arguments"].strip()
        if name in _SIMPLE_METHODS and (not arguments or name == "toString"):
            filters += f" | {_SIMPLE_METHODS[name]}"
        elif name in _TEXT_METHODS and (converted := _arguments(arguments)):
            filters += f" | {_TEXT_METHODS[name]}: {converted}"
        else:
            return None
    return filters


def _arguments(written: str) -> str | None:
    """Literal texts, as the arguments of a filter."""
    found = re.fullmatch(r"""\s*("[^"\\]*"|'[^'\\]*')\s*(?:,\s*("[^"\\]*"|'[^'\\]*')\s*)?""", written)
    if found is None:
        return None
    parts = [quoted(part[1:-1]) for part in found.groups() if part is not None]
    return ", ".join(part for part in parts if part is not None) if None not in parts else None
