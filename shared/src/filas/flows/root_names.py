"""The names that templates and expressions begin with."""

ROOTS = ("webhook", "nodes", "vars", "conversation", "secrets", "loop", "execution")
