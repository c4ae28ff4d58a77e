"""The table of every setting, made from the settings classes."""

from filas.settings.process_settings import PROCESSES
from filas.settings.settings_reader import variables

NAMES = {
    "IngestServeSettings": "`ingest serve`",
    "IngestAdminSettings": "`ingest admin`",
    "IngestWorkSettings": "`ingest work`",
    "FlowRunnerSettings": "flow-runner",
    "NotifierSettings": "notifier",
}
"""How a process is called in the table, by the class of its settings."""


def table() -> str:
    """Every variable with its default, the processes that read it, and its meaning."""
    users: dict[str, list[str]] = {}
    rows = {}
    for process in PROCESSES:
        for variable in variables(process):
            users.setdefault(variable.name, []).append(NAMES[process.__name__])
            rows[variable.name] = variable
    lines = ["| variable | default | read by | meaning |", "|---|---|---|---|"]
    for name, variable in rows.items():
        default = "required" if variable.default is None else f"`{variable.default}`" if variable.default else ""
        readers = "all" if len(users[name]) == len(PROCESSES) else ", ".join(users[name])
        lines.append(f"| `{name}` | {default} | {readers} | {variable.description} |")
    return "\n".join(lines) + "\n"
