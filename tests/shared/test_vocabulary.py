"""The words of docs/glossary.md are used: words that have a standard term do not appear in the repository.

`python -m tests.shared.test_vocabulary [PATH …]` lists every line with such a word.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.reference.source_code import SOURCES, trees

ROOT = Path(__file__).parents[2]

WORDS: list[tuple[str, str]] = [
    (r"\bwho(?:m|so)?ever\b", "name the subject: the caller, the worker, the sender"),
    (r"(?<!\")\bnobody\b", "no one, no process, none"),
    (r"\b(?:any|some)body\b", "name the subject: an operator, another worker"),
    (r"\bstands?\b|\bstood\b|\bstanding\b", "is in, follows, is listed in, replaces"),
    (r"\blest\b", "so that … not"),
    (r"\bunspent\b", "requeued without using an attempt"),
    (r"\bbreaths?\b|(?-i:_BREATH)", "cooperative yield"),
    (r"\bhand(?:s|ed|ing)? on\b", "pass, send, enqueue"),
    (r"\b(?:becomes?|became|become) of\b", "the outcome of, the result of"),
    (r"\bdoors?\b", "public endpoint, public listener"),
    (r"\blate[ _-]rows?\b|(?-i:\bLateRows\b)", "write-behind backfill"),
    (r"\bput(?:s|ting)?[ _-]back\b", "enqueue again, redrive, requeue"),
    (r"\bput(?:s|ting)?[ _-]off\b|(?-i:\bPutOff\b)", "defer, deferred"),
    (r"\bnot[ _-]put\b|\bput[ _]failed\b", "not enqueued"),
    (r"\bwish(?:es|ed)?\b", "command, request"),
    (r"\bways? out\b", "handle, output"),
    (r"\bcrowd(?:s|ed|ing)?\b", "connection limit, load shedding"),
    (r"\bdrop by drop\b|\bsilent sender", "slow client (slowloris)"),
    (r"\bhow[ -]manieth\b", "number, position"),
    (r"(?<!to )\beverybody\b", "every user, all contacts"),
    (r"\b(?:comes?|came|come) of\b", "the result of"),
    (r"\bmany a (?:call|time|day|one)\b", "batched, many"),
    (r"\bgenerosity\b", "bulkhead"),
    (r"\ballowances?\b|(?-i:one_allowance)", "step budget"),
    (
        # OpenTelemetry's attribute and stored Redis keys (glossary, "Stored names") keep the word.
        r"(?<!messaging\.)\bdestinations?\b(?!:)|(?-i:Destination)",
        "channel, channel circuit; the address or host of a call",
    ),
    (r"\bnot well\b|\b(?:is|are|was|were|all) well\b", "OK, FAIL"),
    (
        r"\b(?:is|are|was|were|be|been|being|stay|stays|stayed) away\b|(?<!\bgive)(?<=[\w.])away\b|_away\b",
        "unavailable",
    ),
    (r"\bbears?\b", "has, carries"),
    (r"\b(?:go|goes|going|went|gone) on (?:with|at|by|where|from|in)\b", "continue, resume"),
    (r"\btold\b|\btells?\b", "recorded, reported, stated; notify, publish"),
    (r"\bsays\b", "states, reports, shows"),
    (r"\bought\b", "should"),
    (r"\banew\b", "again"),
    (r"\bg(?:ive|ives|iven|iving|ave)[ -](?:it |them |the rest )?back\b", "return, requeue, release"),
    (r"\bnobody's\b|\bnot a soul\b", "no one's"),
    (r"\btries to deliver\b|\bone try\b|\ba try\b|\bno try\b|\bits tries\b|\ball tries\b", "attempt"),
    (r"\bread(?:s)? (?:it |this )?otherwise\b", "parse differently: request smuggling"),
    (r"\b(?:the|a) gate\b|(?-i:class Gate\b)", "admission"),
    (r"\bstand[s]? still\b|\bstood still\b", "stops, is blocked"),
    (r"\bfinds out\b", "tests, determines"),
    (r"\breckon(?:s|ed|ing)?\b", "calculate"),
    (r"\balas\b|\bthereof\b|\bwherein\b|\bthereby\b|\bheretofore\b|\bhence\b|\bverily\b|\berstwhile\b", "plain words"),
]
"""Patterns (case is ignored, except in `(?-i:…)`; see `compiled`), each with what is written instead."""

HTTP_PUT = (
    "filas.cli.api_client.put",
    "filas.cli.flow_commands._put",
    "filas.cli.schedule_commands._put",
)
"""Functions that make a PUT request."""

EXAMPLES = """
Whoever stands before us, nobody and somebody, lest its unspent breath is handed on; what becomes of the door, of late
rows, of what was put back, put off or not put. A wish has many ways out of a crowd: drop by drop, many a call, with the
generosity of an allowance. The destination is well. The store is away and bears it; it goes on with what it was told
and says. It ought to begin anew, given back after one try, but nobody's proxy reads it otherwise at the gate: it stands
still, finds out and reckons, alas. The how-manieth it is comes of everybody.
"""
"""Each pattern matches here."""

EXEMPT = ("docs/glossary.md", "tests/shared/test_vocabulary.py", "shared/src/filas/repository/migrations/")
"""These files list the words. Released migrations never change."""

SUFFIXES = frozenset(
    {".py", ".md", ".sql", ".lua", ".mjs", ".yml", ".yaml", ".toml", ".sh", ".cfg", ".json", ".svg", ".env", ".example"}
    | {".in", ""}
)
OWN_HIDDEN = {".ci", ".github"}
FOREIGN = {"build", "node_modules", "__pycache__"}
"""Directories that hold no text of ours, beside hidden ones."""


class Hit(NamedTuple):
    """A line with a word that has a standard term."""

    path: str
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text.strip()[:140]}  (write: {self.instead})"


def sources() -> Iterator[Path]:
    """Every text file of ours."""
    waiting = [ROOT]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.is_dir():
                hidden = path.name.startswith(".") and path.name not in OWN_HIDDEN
                if not hidden and path.name not in FOREIGN and not path.name.endswith(".egg-info"):
                    waiting.append(path)
            elif path.suffix in SUFFIXES and not path.name.endswith(".lock"):
                yield path


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, in which an underscore is a blank and a boundary of words, so that it also finds words in names."""
    boundary = "(?:(?<![A-Za-z])(?=[A-Za-z])|(?<=[A-Za-z])(?![A-Za-z]))"
    return re.compile(_in_names(pattern).replace(r"\b", boundary), re.IGNORECASE)


def _in_names(pattern: str) -> str:
    return re.sub(r"(?<!\[) ", "[ _]", pattern)


def matching_lines(pattern: str, text: str) -> Iterator[tuple[int, str]]:
    """The number and text of every line that matches."""
    # Most files contain none of the words of a pattern. Without boundaries and case, the search is much faster, and
    # finds at least as much.
    if re.search(_in_names(pattern).replace(r"\b", "").replace("(?-i:", "(?:").lower(), text.lower()):
        found = compiled(pattern)
        yield from ((number, line) for number, line in enumerate(text.splitlines(), 1) if found.search(line))


def hits(pattern: str, instead: str) -> Iterator[Hit]:
    """Every line of our text that matches."""
    for path, text in TEXTS.items():
        for number, line in matching_lines(pattern, text):
            yield Hit(path, number, line, instead)


def _read() -> dict[str, str]:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(errors="replace") for path in sources()}
    return {path: text for path, text in texts.items() if not path.startswith(EXEMPT)}


TEXTS = _read()


@pytest.mark.parametrize(("pattern", "instead"), WORDS, ids=[pattern for pattern, _ in WORDS])
def test_the_glossary_has_another_word(pattern: str, instead: str) -> None:
    """Source, documents, messages, SQL, Lua, YAML, Makefile and tests use the standard term."""
    assert [str(hit) for hit in hits(pattern, instead)] == []


def test_every_pattern_finds_what_it_is_for() -> None:
    """A pattern that matches nothing would check nothing."""
    examples = EXAMPLES.replace("\n", " ")
    unmatched = [pattern for pattern, _ in WORDS if not [*matching_lines(pattern, examples)]]
    assert unmatched == []


METHODS = re.compile(r"_*(?:put|take|tell|told|give|say|hand_on|put_back|give_back|take_back)")
"""Names that no function has: each verb has one meaning. `put` is allowed for the HTTP method PUT."""


def test_no_function_has_a_vague_verb_as_its_name() -> None:
    """Functions are named enqueue, write, claim, record, publish, resolve, notify, store or return."""
    found = [
        f"{module}.{node.name}"
        for package in SOURCES
        for module, tree in trees(package).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and METHODS.fullmatch(node.name)
    ]
    assert [name for name in found if name not in HTTP_PUT] == []


def report(paths: tuple[str, ...]) -> str:
    """Every hit below `paths` (empty: everywhere)."""
    everything = sorted(hit for pattern, instead in WORDS for hit in hits(pattern, instead))
    return "\n".join(str(hit) for hit in everything if not paths or hit.path.startswith(paths))


if __name__ == "__main__":
    sys.stdout.write(report(tuple(sys.argv[1:])) + "\n")
