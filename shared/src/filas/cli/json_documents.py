"""Reads the JSON files of the commands."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Document:
    """The JSON object of a file, and its text. `source` is the name of the file as the user wrote it."""

    source: str
    text: str
    value: dict[str, Any]

    @property
    def stem(self) -> str:
        """The name of the file without directory and `.json`. Raises click.UsageError for standard input."""
        if self.source == "-":
            raise click.UsageError("standard input has no name: give --id")
        return Path(self.source).name.removesuffix(".json")

    def line_of_id(self, node_id: str | None) -> int | None:
        """Returns the number of the first line with `"id": "…"`, or None."""
        if node_id is None:
            return None
        for written in (json.dumps(node_id), json.dumps(node_id, ensure_ascii=False)):
            found = re.search(r'"id"\s*:\s*' + re.escape(written), self.text)
            if found:
                return self.text.count("\n", 0, found.start()) + 1
        return None


def read_object(source: str) -> dict[str, Any]:
    """Returns the JSON object in a file (`-`: standard input). Raises click.UsageError (exit code 2)."""
    return read_document(source).value


def read_document(source: str) -> Document:
    """Returns the JSON object in a file with its text. Raises click.UsageError."""
    value, text = _read(source)
    if not isinstance(value, dict):
        raise click.UsageError(f"{source} does not contain a JSON object")
    return Document(source, text, value)


def read_json(source: str) -> Any:
    """Returns the JSON value in a file. Raises click.UsageError."""
    return _read(source)[0]


def read_text(source: str) -> str:
    """Returns the text of a file, whatever it contains. Raises click.UsageError."""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{source} is not UTF-8") from None


def _read(source: str) -> tuple[Any, str]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        return json.loads(text), text
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        place = f"{source}, line {error.lineno}, column {error.colno}"
        raise click.UsageError(f"{place}: not JSON: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{source} is not JSON: {error}") from None
