"""The soak test: all processes at a steady load for two hours, while everything that may grow is recorded."""
