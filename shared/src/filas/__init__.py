"""What the three services share: job schemas, the queue engine and the Postgres repository."""
