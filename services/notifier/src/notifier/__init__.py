"""The notifier: delivers the messages and notifications that flows send."""
