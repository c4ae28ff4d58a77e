"""The records of the domain, one module for each family of tables."""
