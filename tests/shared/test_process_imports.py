"""What each process imports: nothing that only other processes need, because its code stays in memory for good."""

import functools
import json
import subprocess
import sys

import pytest

from tests.process_table import PROCESSES

pytestmark = pytest.mark.starts_processes

COMMANDS = {"click", "rich", "pygments", "markdown_it"}
MIGRATIONS = {"pogo_core", "sqlglot", "sqlparse"}
PAGES = {"jinja2", "aiohttp_sse"}
FLOWS = {"babel", "cronsim", "dateutil", "liquid", "pytz", "re2"}
TOOLS = {"structlog", "jwt", "arq", "opentelemetry", "setuptools", "pip", "pytest", "unittest"}
NOWHERE = COMMANDS | MIGRATIONS | TOOLS

NEEDLESS = {
    "ingest": NOWHERE | PAGES | FLOWS | {"aiosmtplib", "flow_runner", "notifier"},
    "ingest-admin": NOWHERE | {"aiosmtplib", "flow_runner", "notifier"},
    "ingest-worker": NOWHERE
    | PAGES
    | FLOWS
    | {"aiosmtplib", "cryptography.hazmat", "flow_runner", "jmespath", "notifier"},
    "flow-runner": NOWHERE | PAGES | {"aiosmtplib", "ingest", "notifier", "zstandard"},
    "notifier": NOWHERE | PAGES | FLOWS | {"flow_runner", "ingest", "jmespath", "zstandard"},
}

PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""


@functools.cache
def imported(composition_root: str) -> frozenset[str]:
    """The modules of an interpreter that has imported what a process imports."""
    command = [sys.executable, "-c", PROGRAM, composition_root]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return frozenset(json.loads(found.stdout))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_imports_nothing_that_it_does_not_need(name: str) -> None:
    """A module that a process needs all the same is removed from its list here, with its memory in the commit."""
    assert imported(PROCESSES[name].composition_root) & NEEDLESS[name] == set()


def test_every_process_has_a_list() -> None:
    assert NEEDLESS.keys() == PROCESSES.keys()


def test_the_names_are_those_of_modules() -> None:
    """A module that is renamed would otherwise pass unnoticed: each is imported by a process, or can be."""
    somewhere = frozenset[str]().union(*(imported(process.composition_root) for process in PROCESSES.values()))
    checked = frozenset[str]().union(*NEEDLESS.values()) - NOWHERE
    assert checked - somewhere == set()
