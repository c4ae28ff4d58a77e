"""The dashboard: HTML pages at `/dashboard` in the admin process."""
