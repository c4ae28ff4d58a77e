"""Imports flows of other products: pure functions from their exported JSON to a definition and a report."""
