"""When a delay ends, and the ticks of a schedule."""
