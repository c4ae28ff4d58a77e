"""The README's flow reference names what there is: every node, field, operator, filter, name and status."""

import re
from typing import get_args

from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.expressions.rules import OPERATORS
from filas.flows.root_names import ROOTS
from filas.flows.templates.bounded_liquid import build_environment
from filas.models.executions import ExecutionStatus
from tests.shared.flow_reference import BEGIN, END, MEANINGS, README, rows, table


def reference() -> str:
    """The section on flows."""
    text = README.read_text()
    return text[text.index("## What a flow can do") : text.index("## Sending: channels")]


def test_the_table_of_fields_is_that_of_the_types() -> None:
    """Every field of every node with its default, as the checks know it, and no other."""
    text = README.read_text()
    found = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert found == table(), "run `python -m tests.shared.flow_reference` to write the table anew"


def test_every_field_has_its_meaning() -> None:
    """In tests/shared/flow_reference.py, where the types can't say it."""
    assert [row.key for row in rows() if row.key not in MEANINGS] == []


def test_every_word_of_the_languages_is_named() -> None:
    """Node types, operators, Liquid's filters and tags, names in scope, statuses of an execution."""
    environment = build_environment()
    unwritten = {"#", "content", "output", "illegal", "doc", "liquid", "echo"}
    words = [*NODE_TYPES, *OPERATORS, *environment.filters, *(set(environment.tags) - unwritten)]
    words += [*ROOTS, *get_args(ExecutionStatus)]
    text = reference()
    named = set(re.findall(r"[a-z0-9_-]+", text, re.IGNORECASE))
    assert sorted(word for word in words if word not in named) == []


def test_every_handle_is_named() -> None:
    """The ways out that a node type has by itself stand in the table of nodes."""
    text = reference()
    for handle in ("out", "error", "true", "false"):
        assert f"`{handle}`" in text
