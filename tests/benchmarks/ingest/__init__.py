"""The public door's benchmark."""
