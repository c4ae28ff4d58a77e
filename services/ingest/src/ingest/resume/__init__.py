"""The public endpoint for callbacks: the single-use address of an execution that waits."""
