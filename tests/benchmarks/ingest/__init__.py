"""The benchmark of the public listener."""
