"""The first names of paths in templates and expressions."""

ROOTS = ("webhook", "nodes", "vars", "conversation", "secrets", "loop", "execution")
