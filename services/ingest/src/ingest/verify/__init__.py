"""Checks that a request comes from its sender: one module for each `auth.type`, listed in `auth_types`."""
