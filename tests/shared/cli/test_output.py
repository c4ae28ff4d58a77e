"""Tables, times and colours: what a person sees, at every width."""

import json
import os
import pty
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
import pytest
import yaml
from click.testing import CliRunner

from filas.cli import times
from filas.cli.output import always_json, as_json, json_line, show_json, show_table

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
MESSAGE = "the channel answers 500 since an hour: look at its log, then run `filas channels resume shop` " * 3


@click.command()
@as_json
def listed(as_json: bool) -> None:
    """A command as all are."""
    rows = [{"id": "a", "at": "2020-01-01T00:00:00.123456Z", "error": MESSAGE, "state": "failed"}]
    if as_json:
        show_json(rows)
        return
    show_table(("ID", "AT", "ERROR", "STATE"), [tuple(row.values()) for row in rows], nothing="Nothing")


def words(text: str) -> str:
    """The text without spaces and line breaks."""
    return "".join(text.split())


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_message_is_wrapped_and_never_cut(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line fits, and the column has all words."""
    monkeypatch.setenv("COLUMNS", str(width))
    out = CliRunner().invoke(listed).output
    assert max(map(len, out.splitlines())) <= width
    assert sorted(words(out)) == sorted(
        words(f"ID AT ERROR STATE a {times.in_words('2020-01-01T00:00:00Z')} {MESSAGE} failed")
    )
    assert "…" not in out


def test_a_pipe_gets_one_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal no line is wrapped, so that `grep` finds what belongs together."""
    monkeypatch.delenv("COLUMNS", raising=False)
    heading, row = CliRunner().invoke(listed).output.splitlines()
    assert heading.split() == ["ID", "AT", "ERROR", "STATE"]
    assert MESSAGE.strip() in row
    assert row.endswith(" failed")


def test_wide_has_exact_times_and_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the width of the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    row = CliRunner().invoke(listed, ["--output", "wide"]).output.splitlines()[1]
    assert row.split()[:2] == ["a", "2020-01-01T00:00:00Z"]
    assert MESSAGE.strip() in row


def test_json_has_one_shape() -> None:
    """`--json` and `--output json` are the same: the data, unchanged. Other combinations are refused."""
    plain, named = (CliRunner().invoke(listed, arguments).output for arguments in (["--json"], ["--output", "json"]))
    assert plain == named
    assert json.loads(plain)[0]["at"] == "2020-01-01T00:00:00.123456Z"
    assert CliRunner().invoke(listed, ["--json", "--output", "json"]).exit_code == 0
    refused = CliRunner().invoke(listed, ["--json", "--output", "wide"])
    assert (refused.exit_code, "exclude each other" in refused.output) == (2, True)
    assert CliRunner().invoke(listed, ["--output", "xml"]).exit_code == 2


VALUES = [
    {"id": "no", "at": "2026-11-27T09:00:00Z", "number": 9223372036854775807, "text": 'olá: "x"\n- y', "none": None},
    {"id": "007", "on": True, "list": [], "emoji": "❤️", "odd": "\u202e\u0000", "float": 0.1, "long": "a " * 500},
]


@click.command()
@always_json
def one() -> None:
    """A command that shows one object."""
    show_json(VALUES)


@click.command()
@as_json
def streamed(as_json: bool) -> None:
    """A command that prints one value after the other."""
    for value in VALUES:
        json_line(value)


def test_yaml_is_the_same_data_as_json() -> None:
    """Of lists, of commands that always print data, and of streams, which are several documents."""
    listing = CliRunner().invoke(listed, ["--output", "yaml"]).output
    assert yaml.safe_load(listing) == json.loads(CliRunner().invoke(listed, ["--json"]).output)
    assert listing.startswith("- id: a\n")
    assert yaml.safe_load(CliRunner().invoke(one, ["--output", "yaml"]).output) == VALUES
    assert json.loads(CliRunner().invoke(one, ["--json"]).output) == VALUES
    assert list(yaml.safe_load_all(CliRunner().invoke(streamed, ["--output", "yaml"]).output)) == VALUES
    for command in (listed, one):
        assert CliRunner().invoke(command, ["--json", "--output", "yaml"]).exit_code == 2


def on_a_terminal(show: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """What is written to a terminal."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        show()
        terminal.flush()
        text = os.read(ours, 65_536).decode()
    os.close(ours)
    return text


def test_colours_are_for_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed state is red there, unless NO_COLOR is set; a file gets no escape sequence."""

    def show() -> None:
        show_table(("STATE",), [("failed",)], nothing="")

    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31mfailed" in on_a_terminal(show, monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in on_a_terminal(show, monkeypatch)
    monkeypatch.delenv("NO_COLOR")
    show()
    assert capsys.readouterr().out == "STATE\nfailed\n"


def test_a_table_shows_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """A text from outside cannot move the cursor, break a line or set a style."""
    show_table(("A", "B"), [("x\x1b[2Jy\nz [red]r[/red] :smile:", 5), ("w", 12345)], nothing="")
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert lines == [["A", "B"], ["x", "[2Jy", "z", "[red]r[/red]", ":smile:", "5"], ["w", "12345"]]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "now"),
        (-1, "1 s ago"),
        (59.9, "in 59 s"),
        (60, "in 1 min"),
        (-3599, "59 min ago"),
        (-3600, "1 h ago"),
        (47.9 * 3600, "in 47 h"),
        (-48 * 3600, "2 d ago"),
        (-400 * 86_400, "400 d ago"),
    ],
)
def test_ages_and_due_times_are_in_words(seconds: float, text: str) -> None:
    """One number and its unit, rounded down."""
    moment = (NOW + timedelta(seconds=seconds)).isoformat()
    assert times.in_words(moment, NOW) == text


def test_every_time_has_one_format() -> None:
    """Coordinated universal time, whatever the zone of the text. Other texts are not taken for times."""
    assert times.exact("2026-11-22T09:00:00-03:00") == "2026-11-22T12:00:00Z"
    assert times.both("2026-11-27T09:04:00Z", NOW) == "2026-11-27T09:04:00Z (in 4 min)"
    assert not times.is_moment("at 2026-11-22T12:00:00Z")
    assert not times.is_moment("2026-11-22")
    assert not times.is_moment(20261122)
