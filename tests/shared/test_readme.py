"""The README says what the code does: its configuration table is made from the settings classes.

`python -m tests.shared.test_readme` writes the table anew.
"""

from pathlib import Path

from filas.settings.process_settings import PROCESSES, variables

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->"
NAMES = {
    "IngestServeSettings": "ingest",
    "IngestWorkSettings": "ingest worker",
    "FlowRunnerSettings": "flow-runner",
    "NotifierSettings": "notifier",
}


def configuration_table() -> str:
    """Every variable with its default, the processes that read it, and its meaning."""
    users: dict[str, list[str]] = {}
    rows = {}
    for process in PROCESSES:
        for variable in variables(process):
            users.setdefault(variable.name, []).append(NAMES[process.__name__])
            rows[variable.name] = variable
    lines = ["| variable | default | read by | meaning |", "|---|---|---|---|"]
    for name, variable in rows.items():
        default = "must be set" if variable.default is None else f"`{variable.default}`" if variable.default else ""
        readers = "all" if len(users[name]) == len(PROCESSES) else ", ".join(users[name])
        lines.append(f"| `{name}` | {default} | {readers} | {variable.description} |")
    return "\n".join(lines) + "\n"


def test_the_configuration_table_of_the_readme_is_that_of_the_code() -> None:
    """Every variable that a process reads stands in the README with its default and meaning, and no other does."""
    text = README.read_text()
    table = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert table == configuration_table(), "run `python -m tests.shared.test_readme` to write the table anew"


if __name__ == "__main__":
    before = README.read_text()
    start, stop = before.index(BEGIN) + len(BEGIN), before.index(END)
    README.write_text(before[:start] + configuration_table() + before[stop:])
