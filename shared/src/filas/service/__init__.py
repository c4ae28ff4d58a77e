"""What every process has: the private listener, health, stores, and an orderly start and stop."""
