"""flow-runner: the service that owns the queue flow-processing and runs the flows."""
