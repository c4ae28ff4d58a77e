"""Encrypted secrets, signatures of outgoing webhooks, and resume tokens."""
