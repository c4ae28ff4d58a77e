"""The checks of a whole graph: what each of them finds depends on several nodes, or on the flow's settings."""
