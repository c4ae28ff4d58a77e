"""The worker of a queue: claims jobs, runs them, renews their leases and finishes them."""
