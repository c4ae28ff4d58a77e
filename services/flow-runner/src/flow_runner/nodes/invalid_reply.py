"""The error of a reply that an `input` does not accept."""


class InvalidReply(ValueError):
    """The reply is not of the kind that the input asks for."""


class NoChoice(InvalidReply):
    """The reply matches no choice."""
