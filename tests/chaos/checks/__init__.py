"""The checks of the promises, by what they are about."""
