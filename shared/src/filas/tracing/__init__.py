"""Traces by OpenTelemetry. All other code uses `spans` and `traceparent`; only `sdk` imports OpenTelemetry."""
