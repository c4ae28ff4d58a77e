"""Rewrites the error messages of libraries (msgspec, CEL, JMESPath, Liquid) in the words of a flow's author.

A message that no pattern matches is returned as it is, except where it shows how Python works: then it is replaced.
"""

import json
import re
from collections.abc import Callable

_KINDS = {
    **dict.fromkeys(("str", "string"), "a text"),
    **dict.fromkeys(("int", "int64", "uint", "uint64", "integer"), "a whole number"),
    **dict.fromkeys(("float", "double", "number", "Decimal"), "a number"),
    **dict.fromkeys(("bool", "boolean"), "a boolean"),
    **dict.fromkeys(("list", "array", "tuple"), "a list"),
    **dict.fromkeys(("dict", "map", "object"), "an object"),
    **dict.fromkeys(("null", "null_type", "NoneType"), "null"),
    "timestamp": "a timestamp",
    "google.protobuf.Timestamp": "a timestamp",
    "google.protobuf.Duration": "a duration",
    "dyn": "any value",
    "duration": "a duration",
    "expref": "an expression such as &name",
    "array-string": "a list of texts",
    "array-number": "a list of numbers",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_PYTHON = re.compile(
    r"NoneType|__\w+__|object is not|positional argument|instances of|unhashable|not subscriptable|has no attribute"
    r"|object of type|unsupported operand|unexpected keyword|indices must be|object cannot be"
    r"|must be str|could not convert|argument must be|Traceback|ValueError|TypeError|KeyError|cannot be interpreted"
    r"|object at 0x|isoformat|strftime|codec can't|out of range$|is not iterable"
)
_PYTHON_REPLACED = "an operation does not work on these values"
_MAX_CHARS = 300

Rewrite = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def kind_of(name: str) -> str:
    """The author's word for a type of a library; `str | null` is `a text or null`."""
    return " or ".join(_KINDS.get(part.strip(), part.strip()) for part in name.split("|"))


def shown(value: object) -> str:
    """The first 80 characters of a text or number, as JSON; nothing for another value."""
    if isinstance(value, str):
        return json.dumps(value[:80].encode(errors="replace").decode(), ensure_ascii=False)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**64:
        return json.dumps(value)
    return ""


def _first(message: str, rewrites: list[Rewrite]) -> str:
    text = message[:2000]
    for pattern, rewrite in rewrites:
        if found := pattern.search(text):
            return rewrite(found)[:_MAX_CHARS]
    return _PYTHON_REPLACED if _PYTHON.search(text) else text[:_MAX_CHARS]


def _compared(found: re.Match[str]) -> str:
    return f"cannot compare {kind_of(found[1])} with {kind_of(found[2])}"


def _unit(kind: str, count: str) -> str:
    one, several = ("character", "characters") if kind == "str" else ("entry", "entries")
    return one if count == "1" else several


_MSGSPEC: list[Rewrite] = [
    (re.compile(r"^Expected `(.+)`, got `(.+)`"), lambda m: f"expected {kind_of(m[1])}, got {kind_of(m[2])}"),
    (
        re.compile(r"^Expected `(.+)` of length (>=|<=) (\d+)"),
        lambda m: f"expected {kind_of(m[1])} of {_BOUNDS[m[2]]} {m[3]} {_unit(m[1], m[3])}",
    ),
    (
        re.compile(r"^Expected `(.+)` (>=|<=|>|<) (\S+)"),
        lambda m: f"expected {kind_of(m[1])} of {_BOUNDS[m[2]]} {m[3]}",
    ),
    (
        re.compile(r"^Expected `str` matching regex '(.+)'", re.DOTALL),
        lambda m: f"expected a text that matches the pattern {m[1]}",
    ),
    (re.compile(r"^Invalid enum value (.+)", re.DOTALL), lambda m: f"unknown value {m[1]}"),
]


def describe_msgspec(message: str, value: object = None) -> str:
    """The message of a msgspec.ValidationError without its path. `value`: the wrong value, which is shown where the
    message does not show it."""
    text = _first(message, _MSGSPEC)
    found = shown(value)
    text = text[:1].lower() + text[1:]
    return f"{text}, got {found}" if found and ", got " not in text and "unknown value" not in text else text


def _overload(call: str) -> str:
    """`_>_(string, int64)`, `size(int64)` or `(int64).startsWith(string)` as a sentence."""
    if call.startswith("<iter"):
        return "a macro such as all or exists needs a list or an object"
    if call.startswith("<jump"):
        return "the condition before ? is not a boolean"
    found = re.fullmatch(r"(?:\((?P<on>[\w.]+)\)\.)?(?P<name>[^(]+?)(?:\((?P<args>.*)\))?", call, re.DOTALL)
    if found is None:
        return _PYTHON_REPLACED
    name = found["name"].replace("@", "").strip("_") or found["name"]
    kinds = [kind_of(one) for one in [found["on"], *(found["args"] or "").split(",")] if one and one.strip()]
    return f"cannot apply {name} to {' and '.join(kinds) or 'these values'}"


def _unexpected(found: re.Match[str]) -> str:
    return "unexpected end of the expression" if "<EOF>" in found[1] else f"unexpected {found[1]}"


_CEL: list[Rewrite] = [
    (re.compile(r"No matching overloads found : (.+)", re.DOTALL), lambda m: _overload(m[1])),
    (
        re.compile(r"found no matching overload for '(.+?)' applied to '(\(.*\))'"),
        lambda m: _overload(m[1] + m[2]),
    ),
    (re.compile(r"undeclared reference to ('.*?')"), lambda m: f"unknown name or function {m[1]}"),
    (re.compile(r"Syntax error: (?:mismatched|extraneous) input ('.*?') expecting"), _unexpected),
    (re.compile(r"Syntax error: no viable alternative at input ('.*')"), _unexpected),
    (re.compile(r"Syntax error: token recognition error at: (.+)"), lambda m: f"unexpected {m[1]}"),
    (
        re.compile(r"(?:[Cc]annot convert|conversion error from) '?(\w+)'? to '?(\w+)'?"),
        lambda m: f"cannot convert {kind_of(m[1])} to {kind_of(m[2])}",
    ),
    (re.compile(r"String to (Timestamp|Duration) conversion"), lambda m: f"the text is not a {m[1].lower()}"),
    (re.compile(r"Invalid container type: '?(\w+)"), lambda m: f"cannot look up a part of {kind_of(m[1])}"),
    (re.compile(r"invalid (?:u?int) literal"), lambda _: "a whole number is out of the range of 64 bits"),
    (re.compile(r"invalid double literal"), lambda _: "a number is out of range"),
    (re.compile(r"Integer value '(\d+)\S* out of range"), lambda _: "a whole number is out of the range of 64 bits"),
    (re.compile(r"recursion limit exceeded\. limit: (\d+)"), lambda m: f"is nested deeper than {m[1]}"),
    (re.compile(r"Invalid timezone"), lambda _: "the time zone is not one such as America/Sao_Paulo"),
    (re.compile(r"(?:ValueError: )?(divide|modulus) by zero"), lambda _: "cannot divide by 0"),
    (re.compile(r"integer overflow"), lambda _: "a whole number is out of the range of 64 bits"),
    (re.compile(r"OUT_OF_RANGE: (.+)"), lambda m: m[1]),
]
_POSITION = re.compile(r"^(line \d+:\d+: )(.*)", re.DOTALL)


def describe_cel(message: str) -> str:
    """The first line of an error of CEL. A position (`line 1:5: `) at its beginning is kept."""
    found = _POSITION.match(message)
    return found[1] + _first(found[2], _CEL) if found else _first(message, _CEL)


def _function_argument(found: re.Match[str]) -> str:
    wanted = " or ".join(kind_of(one) for one in re.findall(r"'([\w-]+)'", found[2]))
    return f"{found[1]}() expected {wanted}, got {kind_of(found[3])}"


_JMESPATH: list[Rewrite] = [
    (
        re.compile(r"In function (\w+)\(\), invalid type .*expected one of: \[(.*?)\], received: \"(.+?)\""),
        _function_argument,
    ),
    (re.compile(r"not supported between instances of '(\w+)' and '(\w+)'"), _compared),
    (re.compile(r"cannot be empty"), lambda _: "is empty"),
    (re.compile(r"Incomplete expression"), lambda _: "unexpected end of the expression"),
    (re.compile(r"Unknown function: (\w+)"), lambda m: f"unknown function '{m[1]}'"),
    (
        re.compile(r"Parse error at column (\d+), token \"(.*?)\" \((\w+)\)"),
        lambda m: f"unexpected {'end' if m[3] == 'EOF' else repr(m[2])} at column {int(m[1]) + 1}",
    ),
]


def describe_jmespath(message: str) -> str:
    """An error of JMESPath, of its compilation or of a search."""
    return _first(" ".join(message.split()), _JMESPATH)


_LIQUID: list[Rewrite] = [
    (
        re.compile(r"'contains' are not supported between '(\w+)' and"),
        lambda m: f"contains: expected a text, a list or an object, found {kind_of(m[1])}",
    ),
    (re.compile(r"not supported between (?:instances of )?'(\w+)' and '(\w+)'"), _compared),
    (re.compile(r"^(\w+): can't divide by"), lambda m: f"{m[1]}: cannot divide by 0"),
    (re.compile(r"^(?:index|key) out of range$"), lambda _: "a list has no item at this place"),
    (re.compile(r"decimal\.\w+"), lambda _: "a calculation has no result with these numbers"),
    (re.compile(r"^(\w+): as_json\(\) takes"), lambda m: f"{m[1]} has too many arguments"),
    (
        re.compile(r"^(?:\w+: )?(\w+?)(?:_of)?\(\) got an unexpected keyword argument '(\w+)'"),
        lambda m: f"{m[1]} has no argument named {m[2]}",
    ),
    (re.compile(r"(\w+?)(?:_of)?\(\) missing \d+ required positional"), lambda m: f"{m[1]} needs one more argument"),
    (re.compile(r"(\w+?)(?:_of)?\(\) takes .* (?:was|were) given"), lambda m: f"{m[1]} has too many arguments"),
    (
        re.compile(r"^((?!.*__).*), found (str|int|float|bool|list|dict|NoneType|Decimal)$"),
        lambda m: f"{m[1]}, found {kind_of(m[2])}",
    ),
]


def describe_liquid(message: str) -> str:
    """An error of Liquid or of one of its filters."""
    return _first(message, _LIQUID)
