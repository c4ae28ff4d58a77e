"""Figures over time: rollups of the rows by minute, hour and day."""
