"""Implementations of the engine's interfaces: executions, compiled flows, secrets, addresses, the clock."""
