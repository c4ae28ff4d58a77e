"""Hostile input, frozen processes, clock steps and mixed versions. These tests take minutes (`make test-hostile`)."""
