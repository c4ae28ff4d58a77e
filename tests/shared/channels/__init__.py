"""Tests of what channels accept."""
