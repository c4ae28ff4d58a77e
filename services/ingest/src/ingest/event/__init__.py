"""The content of an event: its parsed body, its conversation and its job."""
