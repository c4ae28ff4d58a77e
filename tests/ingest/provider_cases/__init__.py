"""The documented events of each provider, in their documented shapes, with the kind, text and data that flows get."""
