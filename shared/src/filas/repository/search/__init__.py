"""Finds what somebody has typed: the entities with an id, and the events with words."""
