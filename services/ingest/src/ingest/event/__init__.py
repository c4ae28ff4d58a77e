"""From a request to an event: its body, its conversation and its job."""
