"""Flows: their definition, the checks before publishing, and the languages of templates and conditions.

The package is shared, because ingest checks in a PUT what the flow-runner runs.
"""
