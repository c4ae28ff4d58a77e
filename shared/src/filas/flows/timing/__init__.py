"""The end of a delay, and the ticks of a schedule."""
