"""Test runs: the engine with a store in memory, recorded outbound calls, and a clock that skips waits."""
