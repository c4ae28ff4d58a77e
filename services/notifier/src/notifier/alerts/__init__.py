"""Alerts: evaluates the rules, and sends one message when an alert fires and one when it is over."""
