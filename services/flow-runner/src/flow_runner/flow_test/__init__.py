"""Test runs: the engine as it is, over a store in memory, an outside that is recorded, and a clock that jumps."""
