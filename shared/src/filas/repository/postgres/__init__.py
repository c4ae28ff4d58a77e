"""The connection to Postgres, its errors, and the functions that all table modules use."""
