"""The settings of each process, and the types of their values."""
