"""Decoders of bodies that come from outside: JSON as it is really sent, and text in its charset."""
