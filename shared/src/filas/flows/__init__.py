"""Flows: their definition, the checks before publishing, and the languages that authors write in them.

Shared because ingest checks on PUT exactly what flow-runner runs.
"""
