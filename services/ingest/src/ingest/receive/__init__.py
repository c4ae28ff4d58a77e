"""Receiving a webhook: checks, limits, duplicates, and the durable write before the answer."""
