"""The address at which an execution waits for a call."""
