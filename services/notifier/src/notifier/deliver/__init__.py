"""Delivering one notification: the channel's circuit and rate, the bulkhead, the recorded attempts."""
