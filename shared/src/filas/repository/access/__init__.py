"""Who may use the API, and what was changed through it."""
