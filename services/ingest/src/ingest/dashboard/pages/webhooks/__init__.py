"""The pages of webhooks: a list, a form with presets, how to configure the sender, tests, rotation of secrets."""
