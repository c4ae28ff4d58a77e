"""The consumer of the queue webhook-processing: from events to executions."""
