"""The checks of a definition for the API: those of publishing, and of what the flow uses outside of itself."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from filas.flows import publishing_checks
from filas.flows.checks.channel_limits import KnownChannels
from filas.flows.definition import older_builder_import
from filas.flows.definition.flow_definition import FlowDefinition
from filas.flows.problems import FlowProblem, Severity
from ingest.api.definitions.flow_channels import known_channels
from ingest.api.definitions.flow_uses import unknown_uses
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import FieldError


class CheckedFlow(NamedTuple):
    """A definition in the present format, and its findings. `definition` is None if it cannot be run."""

    raw: dict[str, Any]
    definition: FlowDefinition | None
    errors: list[FieldError]
    warnings: list[FieldError]


async def check_definition(
    context: ApiContext, flow_id: str, body: dict[str, Any], *, uses_are_errors: bool
) -> CheckedFlow:
    """Checks a definition as publishing does. A use of what is not stored is an error or a warning. Raises
    StoreUnavailable."""
    channels = await known_channels(flow_id, context.channels, context.webhooks)
    # In a thread, because the check of a large flow takes a second and would block the event loop.
    raw, definition, problems = await asyncio.to_thread(imported_and_checked, body, channels)
    errors, warnings = field_errors(problems, "error"), field_errors(problems, "warning")
    if definition is not None:
        unknown = await unknown_uses(flow_id, definition, context.flows, context.channels, context.secrets)
        (errors if uses_are_errors else warnings).extend(field_errors(unknown, "error"))
    return CheckedFlow(raw, definition, errors, warnings)


def imported_and_checked(
    body: dict[str, Any], channels: KnownChannels | None = None
) -> tuple[dict[str, Any], FlowDefinition | None, list[FlowProblem]]:
    """Returns a definition in the present format, and the result of its checks."""
    raw = older_builder_import.to_current_format(body)
    return raw, *publishing_checks.check(raw, channels=channels)


def field_errors(problems: Sequence[FlowProblem], severity: Severity) -> list[FieldError]:
    """Returns the findings of that severity as an answer shows them."""
    return [
        FieldError(node_id=found.node_id, field=found.field, message=found.message, code=found.code)
        for found in problems
        if found.severity == severity
    ]
