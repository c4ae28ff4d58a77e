"""The proof under faults: all processes at load, a seeded schedule of faults, and a checker of the promises."""
