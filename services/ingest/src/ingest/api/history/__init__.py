"""The routes of what ran: events, executions, notifications, dead letters."""
