"""The pages for admins: the audit, and the keys and sign-ins."""
