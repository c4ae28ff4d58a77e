"""The tables of executions and their steps."""
