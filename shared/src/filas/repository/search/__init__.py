"""Finds what a user has typed: the entities with an id, and the events with words."""
