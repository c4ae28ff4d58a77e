"""The reader of Meta's bodies (WhatsApp, Messenger, Instagram)."""
