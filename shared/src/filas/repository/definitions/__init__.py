"""The tables of what users define: flows, webhooks, channels, schedules, secrets."""
