"""Readers of forms, urlencoded and multipart, with bounds on what they read."""
