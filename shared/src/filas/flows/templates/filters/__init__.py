"""The filters that Filas adds to Liquid, and those that it replaces."""
