"""Coverage-guided fuzzing of everything that parses what comes from outside. `make fuzz` runs it."""
