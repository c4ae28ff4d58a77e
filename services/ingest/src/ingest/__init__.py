"""The public door: receives webhooks, answers at once, and turns them into executions of flows."""
