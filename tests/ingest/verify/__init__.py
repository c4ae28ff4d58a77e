"""Each scheme against its published cases."""
