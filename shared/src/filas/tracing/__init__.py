"""Traces, written by OpenTelemetry where they are switched on; nothing else here knows it."""
