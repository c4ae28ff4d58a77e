"""What each provider's body says: the messages in it, and how a body of many is split."""
