"""The gallery: flows to start from. They are also in deploy/examples, with their webhooks and events."""
