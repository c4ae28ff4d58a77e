"""The worker of a queue: claims jobs, runs them, renews their leases, finishes them."""
