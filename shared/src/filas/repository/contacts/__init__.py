"""The tables of contacts, and the conversations of contacts."""
