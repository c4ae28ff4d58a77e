"""Logs, metrics and the measured lag of the event loop."""
