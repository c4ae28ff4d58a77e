"""The glossary names places that exist: modules, metrics, log events and tables."""

import re
from importlib.util import find_spec

from tests.documents import ROOT
from tests.reference import log_events
from tests.reference.metrics import ours

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
MIGRATIONS = ROOT / "shared/src/filas/repository/migrations"
TABLES = set(re.findall(r"create table (\w+)", "".join(path.read_text() for path in MIGRATIONS.glob("*.sql"))))


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its header."""
    section = re.split(rf"^## {heading}$", GLOSSARY, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


TERMS = [row for heading in ("Receiving", "Conversations", "Flows", "Queues", "Delivery and stores")
         for row in rows(heading)]  # fmt: skip
WHERE = " ".join(row[2] for row in TERMS)


def test_every_term_has_a_meaning_and_is_defined_once() -> None:
    terms = [term for row in TERMS for term in re.findall(r"\*\*([^*]+)\*\*", row[0])]
    assert all(row[1] for row in TERMS)
    assert sorted(set(terms)) == sorted(terms)


def test_every_module_exists() -> None:
    names = re.findall(r"`((?:filas|ingest|flow_runner|notifier)\.[\w.]+)`", WHERE)
    assert names
    assert [name for name in names if not exists(name)] == []


def exists(name: str) -> bool:
    """Whether a module, or the attribute of a module, has this dotted name."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_metric_exists() -> None:
    """Also those of the table of renamed metrics."""
    text = WHERE + " ".join(row[0] for row in rows("Metrics that were renamed"))
    assert set(re.findall(r"`(filas_[a-z_]+)", text)) - ours().keys() == set()


def test_every_log_event_exists() -> None:
    """The names in the left column are logged by the source."""
    names = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", " ".join(row[0] for row in rows("Log events"))))
    assert names - log_events.MEANINGS.keys() == set()


def test_every_table_exists() -> None:
    assert set(re.findall(r"table `(\w+)`", WHERE)) - TABLES == set()
