"""flow-runner: the owner of the queue flow-processing. It walks the flows."""
