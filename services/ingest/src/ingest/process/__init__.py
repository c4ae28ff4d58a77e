"""The consumer of the queue `webhook-processing`: it creates the executions of accepted events."""
