"""`filas flows import`: files of other products, without a server."""

import json
from pathlib import Path

from click.testing import CliRunner

from filas.cli import program
from filas.flows import publishing_checks
from tests.shared.flows.imports.typebots import FIXTURES


def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, the output and the errors of a command."""
    done = CliRunner().invoke(program(), ["flow", "import", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_flow_and_the_report_are_written_to_files(tmp_path: Path) -> None:
    """And the blocks that need attention are listed."""
    flow, report = tmp_path / "flow.json", tmp_path / "report.json"
    source = str(FIXTURES / "typebot-v6.json")
    code, out, _ = run("--from", "typebot", source, "--output", str(flow), "--report", str(report))
    assert code == 0
    assert publishing_checks.check(json.loads(flow.read_text()))[0] is not None
    assert {one["status"] for one in json.loads(report.read_text())} == {"carried", "changed", "left-out"}
    assert "Google Sheets" in out
    assert "blocks: " in out.splitlines()[-1]


def test_the_flow_is_printed(tmp_path: Path) -> None:
    """Alone, so that `filas flows apply -` can read it; with `--json`, together with the report."""
    source = str(FIXTURES / "n8n-order-status.json")
    code, out, err = run("--from", "n8n", source)
    assert (code, json.loads(out)["schemaVersion"]) == (0, 1)
    assert "6 blocks" in err
    code, out, _ = run("--from", "n8n", source, "--json")
    assert (code, json.loads(out).keys()) == (0, {"definition", "blocks", "warnings"})
    assert run("--from", "n8n", source, "--output", str(tmp_path))[0] == 1


def test_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    """That names the file."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"a": 1}')
    code, _, err = run("--from", "typebot", str(wrong))
    assert (code, len(err.splitlines())) == (1, 1)
    assert err == f"Error: {wrong}: it is not an exported typebot: it has no list `groups`\n"
