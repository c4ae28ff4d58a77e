"""`filas`: the operator's command line. Most commands call the API of `ingest admin`.

Exit codes: 0 done; 1 the API refused the request, or a check failed; 2 wrong arguments or a wrong setting; 3 a test run
waits for a reply or a call that was not given.
"""

from importlib.metadata import entry_points

import click

from filas.cli.lazy_commands import LazyGroup

PLUGINS = "filas.commands"
"""The entry-point group in which other packages add commands. `filas up` is in the package `filas-local`."""

COMMANDS = {
    "analytics": "filas.cli.analytics_commands:analytics",
    "audit": "filas.cli.key_commands:audit",
    "alerts": "filas.cli.alert_commands:alerts",
    "clean": "filas.cli.queue_commands:clean",
    "conversations": "filas.cli.conversation_commands:conversations",
    "dead-letters": "filas.cli.dead_letter_commands:dead_letters",
    "doctor": "filas.cli.doctor_command:doctor",
    "events": "filas.cli.event_commands:events",
    "executions": "filas.cli.execution_commands:executions",
    "flow": "filas.cli.flow_commands:flow",
    "job": "filas.cli.queue_commands:job",
    "jobs": "filas.cli.queue_commands:jobs",
    "keys": "filas.cli.key_commands:keys",
    "login": "filas.cli.login_commands:login",
    "logout": "filas.cli.login_commands:logout",
    "migrate": "filas.cli.migrate_command:migrate",
    "refusals": "filas.cli.event_commands:refusals",
    "roles": "filas.cli.role_commands:roles",
    "schedule": "filas.cli.schedule_commands:schedule",
    "stats": "filas.cli.queue_commands:stats",
    "webhook": "filas.cli.webhook_commands:webhook",
    "why": "filas.cli.doctor_command:why",
}


def program() -> click.Group:
    """Returns the command `filas` with all its commands."""
    # The commands of this package come last: a plug-in may add commands, but not replace them.
    addresses = {point.name: point.value for point in entry_points(group=PLUGINS)} | COMMANDS
    group = LazyGroup(
        "filas",
        addresses=addresses,
        help=(
            "Operate Filas: flows, webhooks, schedules, queues and dead letters.\n\n"
            "Most commands call the API at FILAS_URL (default http://127.0.0.1:8081) with\n"
            "FILAS_API_KEY or FILAS_ADMIN_TOKEN, or with what `filas login` has stored."
        ),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    click.version_option(package_name="filas", message="%(prog)s %(version)s")(group)
    return group


def main() -> None:
    """The entry point of the `filas` script."""
    program()(prog_name="filas")
