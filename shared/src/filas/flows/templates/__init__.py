"""Templates: Liquid with bounds, its filters, and the names in scope."""
