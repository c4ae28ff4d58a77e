"""Switching tracing on and off: a process does it once each. OpenTelemetry is loaded only where it is wanted."""

import importlib

from filas.errors import SettingsError
from filas.settings.process_settings import TracingSettings
from filas.tracing import spans

STOP_S = 3.0
"""How long the last spans may take to reach the collector: short beside the time that a deployment gives a stop."""


def on(settings: TracingSettings, process: str) -> None:
    """Record spans from now on if `settings` name a collector.

    Raises SettingsError where OpenTelemetry is not installed (the extra `tracing` of the package `filas`), or refuses
    a variable that it reads itself.
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
        spans.use(sdk.OpenTelemetry(settings, process))
    except ValueError as error:
        raise SettingsError(f"OpenTelemetry refuses one of its variables, OTEL_…: {error}") from None


def off() -> None:
    """Send what is left, for STOP_S at most, and record no more."""
    tracer = spans.used()
    spans.use(None)
    if tracer is not None:
        tracer.stop(STOP_S)
