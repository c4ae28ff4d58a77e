"""How many workers each queue needs, and why."""
