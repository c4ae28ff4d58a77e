"""Readers of the providers' bodies: the messages and delivery receipts in a body, and its division into parts."""
