"""The decoder of the content codings of a body."""
