"""The jobs of the queue flow-processing, and what enqueues them."""
