"""Addresses of contacts, in the one form by which they are compared."""
