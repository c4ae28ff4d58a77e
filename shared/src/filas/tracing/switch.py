"""Switches tracing on and off. A process does each once. OpenTelemetry is imported only if a collector is set."""

import importlib

from filas.errors import SettingsError
from filas.settings.setting_groups import TracingSettings
from filas.tracing import spans

STOP_S = 3.0
"""How long the last spans may take to reach the collector. It is short compared with the grace period of a stop."""


def on(settings: TracingSettings, process: str) -> None:
    """Records spans from now on, if `settings` name a collector. `process` is the service's name in the traces.

    Raises SettingsError if OpenTelemetry is not installed (the extra `tracing` of the package `filas`) or rejects one
    of the variables that it reads itself.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        return
    try:
        sdk = importlib.import_module("filas.tracing.sdk")
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("opentelemetry"):
            raise
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "install filas[tracing] (requirements-tracing.lock), or build the images with TRACING=1"
        ) from None
    try:
        spans.set_tracer(sdk.OpenTelemetryTracer(settings, process))
    except ValueError as error:
        raise SettingsError(f"OpenTelemetry rejects one of its variables (OTEL_…): {error}") from None


def off() -> None:
    """Stops recording, and sends the remaining spans for at most STOP_S."""
    tracer = spans.tracer()
    spans.set_tracer(None)
    if tracer is not None:
        tracer.shutdown(STOP_S)
