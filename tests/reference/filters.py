"""The filters of templates, made from the code: Liquid's own by name, and those of Filas with their descriptions."""

import inspect

from filas.flows.templates import bounded_liquid, template
from filas.flows.templates.filters.added_filters import FILTERS

EXAMPLES: dict[str, tuple[str, object]] = {
    "date": ("{{ '2026-11-05T13:00:00Z' | date: '%d de %B, %H:%M', 'America/Sao_Paulo' }}", "05 de novembro, 10:00"),
    "parse_date": ("{{ '05/11/2026' | parse_date: '%d/%m/%Y' }}", "2026-11-05"),
    "money": ("{{ 1234.5 | money: 'BRL' }}", "R$ 1.234,50"),
    "number": ("{{ 1234.5 | number: 2, 'en-US' }}", "1,234.50"),
    "round": ("{{ 2.5 | round }}", 3),
    "map": ("""{{ '[{"n":1},{"n":2}]' | parse_json | map: 'n' }}""", [1, 2]),
    "reverse": ("{{ 'a b' | split: ' ' | reverse }}", ["b", "a"]),
    "sort": ("{{ '3 1 2' | split: ' ' | sort }}", ["1", "2", "3"]),
    "sort_natural": ("{{ 'b A' | split: ' ' | sort_natural }}", ["A", "b"]),
    "where": ("""{{ '[{"n":1},{"n":2}]' | parse_json | where: 'n', 2 }}""", [{"n": 2}]),
    "reject": ("""{{ '[{"n":1},{"n":2}]' | parse_json | reject: 'n', 2 }}""", [{"n": 1}]),
    "find": ("""{{ '[{"n":1},{"n":2}]' | parse_json | find: 'n', 2 }}""", {"n": 2}),
    "find_index": ("""{{ '[{"n":1},{"n":2}]' | parse_json | find_index: 'n', 2 }}""", 1),
    "has": ("""{{ '[{"n":1},{"n":2}]' | parse_json | has: 'n', 2 }}""", True),
    "sum": ("{{ '0.1 0.2' | split: ' ' | sum }}", 0.3),
    "push": ("{{ 'a b' | split: ' ' | push: 'c' }}", ["a", "b", "c"]),
    "concat": ("{% assign more = 'c' | split: ' ' %}{{ 'a b' | split: ' ' | concat: more }}", '["a","b","c"]'),
    "parse_json": ("""{{ '{"a":[1]}' | parse_json }}""", {"a": [1]}),
    "regex_match": ("{{ 'order 42' | regex_match: 'order ([0-9]+)' }}", "42"),
    "regex_replace": (r"{{ 'Lima, Ana' | regex_replace: '(\w+), (\w+)', '\2 \1' }}", "Ana Lima"),
    "sha256": ("{{ 'a' | sha256 | slice: 0, 8 }}", "ca978112"),
    "hmac_sha256": ("{{ 'a' | hmac_sha256: 'key' | slice: 0, 8 }}", "780c3db4"),
    "unaccent": ("{{ 'Olá' | unaccent }}", "Ola"),
    "digits": ("{{ '123.456-7' | digits }}", "1234567"),
    "phone": ("{{ '(11) 90000-0002' | phone }}", "+5511900000002"),
}
"""By filter: a template without values, and what it yields."""


def table() -> str:
    """Every filter that Filas adds or replaces, with its arguments, its description and an example."""
    lines = ["| filter | result | example | yields |", "|---|---|---|---|"]
    for name, function in FILTERS.items():
        source, value = EXAMPLES[name]
        described = " ".join((inspect.getdoc(function) or "").split())
        shown = _cell(source), _cell(template.as_text(value))
        lines.append(f"| `{name}{_arguments(name)}` | {described} | `{shown[0]}` | `{shown[1]}` |")
    return "\n".join(lines) + "\n"


def names() -> str:
    """The filters of Liquid that are not in the table."""
    known = sorted(set(bounded_liquid.build_environment().filters) - set(FILTERS))
    return "Filters of Liquid: " + " ".join(f"`{name}`" for name in known) + ".\n"


def _arguments(name: str) -> str:
    parameters = list(inspect.signature(FILTERS[name]).parameters.values())[1:]
    shown = [each.name.strip("_") if each.default is each.empty else f"[{each.name.strip('_')}]" for each in parameters]
    return f": {', '.join(shown)}" if shown else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
