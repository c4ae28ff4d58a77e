"""The routes of what users define: flows, webhooks, channels, schedules, secrets, test runs."""
