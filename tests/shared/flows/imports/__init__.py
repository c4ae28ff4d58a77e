"""Tests of the imports from other products."""
