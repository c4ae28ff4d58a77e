"""Decoders of bodies: content codings, JSON as it is sent, and text in its charset."""
