"""The outbound guard: the only way in which flows and channels reach other hosts."""
