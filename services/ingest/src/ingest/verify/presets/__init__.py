"""Checks of further providers, made from the general ones."""
