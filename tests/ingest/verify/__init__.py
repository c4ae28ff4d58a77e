"""Each scheme is tested with its published cases."""
