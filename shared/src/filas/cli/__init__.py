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
    "alerts": "filas.cli.alert_commands:alerts",
    "analytics": "filas.cli.analytics_commands:analytics",
    "audit": "filas.cli.key_commands:audit",
    "channels": "filas.cli.channel_commands:channels",
    "contacts": "filas.cli.contact_commands:contacts",
    "conversations": "filas.cli.conversation_commands:conversations",
    "dashboard": "filas.cli.dashboard_command:dashboard",
    "dead-letters": "filas.cli.dead_letter_commands:dead_letters",
    "doctor": "filas.cli.doctor_command:doctor",
    "events": "filas.cli.event_commands:events",
    "executions": "filas.cli.execution_commands:executions",
    "flows": "filas.cli.flow_commands:flows",
    "jobs": "filas.cli.job_commands:jobs",
    "keys": "filas.cli.key_commands:keys",
    "login": "filas.cli.login_commands:login",
    "logout": "filas.cli.login_commands:logout",
    "logs": "filas.cli.logs_command:logs",
    "migrate": "filas.cli.migrate_command:migrate",
    "notifications": "filas.cli.notification_commands:notifications",
    "queues": "filas.cli.queue_commands:queues",
    "refusals": "filas.cli.event_commands:refusals",
    "replays": "filas.cli.replay_commands:replays",
    "roles": "filas.cli.role_commands:roles",
    "scaling": "filas.cli.scaling_commands:scaling",
    "schedules": "filas.cli.schedule_commands:schedules",
    "search": "filas.cli.search_commands:search",
    "secrets": "filas.cli.secret_commands:secrets",
    "stats": "filas.cli.queue_commands:stats",
    "tail": "filas.cli.live_commands:tail",
    "webhooks": "filas.cli.webhook_commands:webhooks",
    "why": "filas.cli.doctor_command:why",
}

ALIASES = {
    "clean": "queues clean",
    "flow": "flows",
    "job": "jobs",
    "schedule": "schedules",
    "webhook": "webhooks",
}
"""Names of earlier versions. They work, but are not listed."""


def program() -> click.Group:
    """Returns the command `filas` with all its commands."""
    # The commands of this package come last: a plug-in may add commands, but not replace them.
    addresses = {point.name: point.value for point in entry_points(group=PLUGINS)} | COMMANDS
    group = LazyGroup(
        "filas",
        addresses=addresses,
        aliases=ALIASES,
        help=(
            "Operate Filas: what runs, what fails and why, and what is defined.\n\n"
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
