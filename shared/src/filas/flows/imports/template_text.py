"""Writes texts of other products as templates: literal text is escaped, so that it is sent as it is."""

import re
import unicodedata
from typing import Final

_OPENING: Final = re.compile(r"\{\{|\{%|\{(?=\s*\$?[A-Za-z_])")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_DELIMITERS: Final = ("{{", "}}", "{%", "%}", "\n", "\r")


def literal(text: str) -> str:
    """The template of a text in which no brace has a meaning."""
    return _OPENING.sub(lambda found: f"{{{{ '{found[0]}' }}}}", text)


def joined(parts: list[str]) -> str:
    """The template that consists of the parts, which are templates. A brace before `{{` stays a brace."""
    made: list[str] = []
    for part in filter(None, parts):
        if part.startswith("{{") and made and made[-1].endswith("{"):
            made[-1] = made[-1][:-1] + "{{ '{' }}"
        made.append(part)
    return "".join(made)


def quoted(text: str) -> str | None:
    """The text as a literal of an expression in a template. None: it cannot be written."""
    if any(part in text for part in _DELIMITERS):
        return None
    return f'"{text}"' if '"' not in text else f"'{text}'" if "'" not in text else None


def member(name: str) -> str:
    """A name as a step of a path: `.name`, or in brackets. A name with quotation marks of both kinds loses one."""
    if _NAME.fullmatch(name):
        return f".{name}"
    clean = name
    for part in (*_DELIMITERS, "[", "]"):
        clean = clean.replace(part, "")
    return f'["{clean}"]' if '"' not in clean else "['{}']".format(clean.replace("'", ""))


def slug(text: str, separator: str = "-", most: int = 40) -> str:
    """The text in small letters and digits without accents; empty if it has none."""
    plain = unicodedata.normalize("NFKD", text[: most * 4]).encode("ascii", "ignore").decode()
    return _WORD.sub(separator, plain).strip(separator)[:most].strip(separator).lower()
