"""Who uses the API: the check of tokens and keys, and the audit of what they change."""
