"""Reads the text of a CEL expression: the names that it looks up, and the constructs that determine its cost.

The lexical rules are those of the language definition (https://github.com/google/cel-spec/blob/master/doc/langdef.md).
A text that is not CEL has a result too; the compiler reports the error.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

import msgspec

_TOKEN = re.compile(
    r"""
    (?P<blank> \s+ | //[^\n]* )
  | (?P<text> [bBrR]{0,2} (?: \"{3} .*? \"{3} | '{3} .*? '{3} )
            | [bB]?[rR][bB]? (?: "[^"]*" | '[^']*' )
            | [bB]? (?: "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' ) )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* | `[^`]*` )
  | (?P<number> 0[xX][0-9a-fA-F]+[uU]? | [0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[uU]? )
  | (?P<sign> && | \|\| | [=!<>]= | . )
    """,
    re.VERBOSE | re.DOTALL,
)

LOOP = "l__p"
"""The replacement for `loop`, which is a reserved word of CEL."""

NOW = "now"
"""The name of the present time."""

ANY_TIME = 'timestamp("2026-01-01T00:00:00Z")'
"""A time for which a constant time zone is checked."""

_CONVERSIONS = frozenset({"timestamp", "duration", "int", "uint", "double", "bool"})
_PARTS_OF_TIMES = re.compile("get(?:FullYear|Month|Date|DayOf(?:Month|Week|Year)|Hours|Minutes|Seconds|Milliseconds)")

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_CONSTANTS = frozenset({"true", "false", "null"})


class Token(NamedTuple):
    """A word of the text: `kind` is text, name, number or sign."""

    kind: str
    text: str


class NamedPath(NamedTuple):
    """A path that the expression looks up. `guarded`: the expression tests it with `has()`."""

    path: tuple[str | int | None, ...]
    guarded: bool


class CelText(msgspec.Struct, frozen=True, kw_only=True):
    """`macros`: their number. `grows`: the expression adds, or builds lists or maps of values. `patterns`: those of its
    `matches`; None: a computed one. `longest_list`: the length of the longest list literal. `constant_calls`: the calls
    of conversions with constant texts, each as an expression of its own."""

    references: tuple[NamedPath, ...]
    macros: int
    grows: bool
    patterns: tuple[str | None, ...]
    longest_list: int
    uses_now: bool
    divides: bool
    constant_calls: tuple[str, ...]


def read(text: str, roots: Collection[str]) -> CelText:
    """Reads an expression. `roots` are the first names of paths."""
    tokens = [
        Token(found.lastgroup or "", found.group()) for found in _TOKEN.finditer(text) if found.lastgroup != "blank"
    ]
    macros = sum(_is_macro(tokens, at) for at in range(len(tokens)))
    grows, longest = _literals(tokens)
    return CelText(
        references=_references(tokens, roots),
        macros=macros,
        grows=grows or any(token == Token("sign", "+") for token in tokens),
        patterns=tuple(_pattern(tokens, at) for at, token in enumerate(tokens) if _calls(tokens, at, "matches")),
        longest_list=longest,
        uses_now=any(token == Token("name", NOW) and _sign(tokens, at - 1) != "." for at, token in enumerate(tokens)),
        divides=any(token == Token("sign", "/") for token in tokens),
        constant_calls=tuple(call for at in range(len(tokens)) if (call := _constant_call(tokens, at))),
    )


def compilable(text: str) -> str:
    """The text with `loop`, a reserved word of CEL, replaced. All positions stay the same."""
    made, before = [], ""
    for found in _TOKEN.finditer(text):
        part = found.group()
        made.append(LOOP if part == "loop" and found.lastgroup == "name" and before != "." else part)
        before = before if found.lastgroup == "blank" else part
    return "".join(made)


def _calls(tokens: list[Token], at: int, name: str) -> bool:
    return tokens[at] == Token("name", name) and _sign(tokens, at + 1) == "("


def _is_macro(tokens: list[Token], at: int) -> bool:
    return tokens[at].text in MACROS and _sign(tokens, at + 1) == "(" and _sign(tokens, at - 1) == "."


def _constant_call(tokens: list[Token], at: int) -> str | None:
    """The call of a conversion of a constant text, or of a part of a time in a constant time zone; None if there is
    none at that token."""
    name = tokens[at]
    if name.kind != "name" or _sign(tokens, at + 1) != "(" or _sign(tokens, at + 3) != ")":
        return None
    text = tokens[at + 2]
    if text.kind != "text":
        return None
    if name.text in _CONVERSIONS and _sign(tokens, at - 1) != ".":
        return f"{name.text}({text.text})"
    if _PARTS_OF_TIMES.fullmatch(name.text) and _sign(tokens, at - 1) == ".":
        return f"{ANY_TIME}.{name.text}({text.text})"
    return None


def _sign(tokens: list[Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) and tokens[at].kind == "sign" else ""


def _references(tokens: list[Token], roots: Collection[str]) -> tuple[NamedPath, ...]:
    found: list[NamedPath] = []
    for at, token in enumerate(tokens):
        if token.kind == "name" and token.text in roots and _sign(tokens, at - 1) != ".":
            guarded = _sign(tokens, at - 1) == "(" and at >= 2 and tokens[at - 2].text == "has"
            found.append(NamedPath(_path(tokens, at), guarded))
    asked = {path for path, guarded in found if guarded}
    return tuple(NamedPath(path, path in asked) for path, _ in found)


def _path(tokens: list[Token], at: int) -> tuple[str | int | None, ...]:
    path: list[str | int | None] = [tokens[at].text]
    at += 1
    while True:
        after = tokens[at + 1] if at + 1 < len(tokens) else Token("", "")
        if _sign(tokens, at) == "." and after.kind == "name" and _sign(tokens, at + 2) != "(":
            path.append(after.text.strip("`"))
            at += 2
        elif _sign(tokens, at) == "[":
            closed = _sign(tokens, at + 2) == "]"
            path.append(_constant(after) if closed else None)
            if path[-1] is None:
                return tuple(path)
            at += 3
        else:
            return tuple(path)


def _constant(token: Token) -> str | int | None:
    """The value of a text or a whole number; None for a computed value, or a text with an escape."""
    if token.kind == "number" and token.text.isdigit():
        return int(token.text) if len(token.text) < 10 else None
    return _plain_text(token)


def _plain_text(token: Token) -> str | None:
    found = re.fullmatch(r"([rR]?)(\"{3}|'{3}|\"|')(.*)\2", token.text, re.DOTALL) if token.kind == "text" else None
    return None if found is None or (not found[1] and "\\" in found[3]) else found[3]


def _pattern(tokens: list[Token], at: int) -> str | None:
    """The pattern of `x.matches("…")` or `matches(x, "…")`; None if it is computed."""
    depth = 0
    for place in range(at + 1, len(tokens)):
        sign = _sign(tokens, place)
        depth += (sign in ("(", "[", "{")) - (sign in (")", "]", "}"))
        if depth == 0:
            alone = _sign(tokens, place - 2) in ("(", ",")
            return _unescaped(tokens[place - 1]) if alone else None
    return None


def _unescaped(token: Token) -> str | None:
    """A text in which `\\\\` and escaped quotes are resolved; None if it has other escapes."""
    plain = _plain_text(token)
    if plain is not None or token.kind != "text" or token.text[0] not in "\"'":
        return plain
    inner = token.text[3:-3] if token.text[:3] in ('"""', "'''") else token.text[1:-1]
    escaped = re.findall(r"\\(.)", inner, re.DOTALL)
    return None if set(escaped) - set("\\\"'`?") else re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def _literals(tokens: list[Token]) -> tuple[bool, int]:
    """Whether a list or map literal has more than constants, and the length of the longest list literal."""
    open_lists: list[list[int]] = []  # Of each open bracket: whether it writes a list, and its commas.
    grows, longest = False, 0
    for at, token in enumerate(tokens):
        sign = _sign(tokens, at)
        if sign == "[":
            before = tokens[at - 1] if at else Token("sign", "")
            indexes = before.kind in ("name", "text") or before.text in (")", "]", "}")
            open_lists.append([0 if indexes and before.text != "in" else 1, 1])
        elif sign == "]" and open_lists:
            written, length = open_lists.pop()
            longest = max(longest, written * length)
        elif open_lists and open_lists[-1][0]:
            if sign == ",":
                open_lists[-1][1] += 1
            elif (sign and sign != "-") or (token.kind == "name" and token.text not in _CONSTANTS):
                grows = True
        grows = grows or sign == "{"
    return grows, longest
