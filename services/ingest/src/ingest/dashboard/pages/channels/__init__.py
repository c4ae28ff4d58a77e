"""The pages of channels: a list with their states, a form with presets, messages, tests, and new credentials."""
