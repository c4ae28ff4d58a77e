"""The first names of paths in templates and expressions."""

ROOTS = ("webhook", "nodes", "vars", "conversation", "secrets", "loop", "execution")

EVENT_ROOTS = ("body", "headers", "queryParams")
"""Those in the templates of a webhook's conversation rule."""

FILTER_ROOTS = (*EVENT_ROOTS, "message")
"""Those in a webhook's filter."""
