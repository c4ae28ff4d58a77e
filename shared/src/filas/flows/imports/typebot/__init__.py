"""Typebot: its exports of the versions 3 to 6."""
