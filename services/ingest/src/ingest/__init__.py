"""The public endpoint: receives webhooks, answers at once, and turns them into executions of flows."""
