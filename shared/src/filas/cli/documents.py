"""Reads the JSON files that `apply` and `check` are given."""

import json
import sys
from pathlib import Path
from typing import Any

import click


def read_object(source: str) -> dict[str, Any]:
    """The JSON object in a file (`-`: standard input). Raises click.UsageError, exit code 2."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{source} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{source} holds no JSON object")
    return document
