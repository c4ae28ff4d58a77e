"""Conversations for readers: the search, and the messages of one."""
