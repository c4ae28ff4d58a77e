"""The connection to Postgres, its errors, and what every table module uses."""
