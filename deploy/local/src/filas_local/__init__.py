"""Filas on one machine: embedded servers and `filas up`, for development and tests."""
