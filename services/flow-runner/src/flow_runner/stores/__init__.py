"""The engine's ports over the repository: executions, compiled flows, secrets, the clock."""
