"""The error of a content that cannot be sent."""

from filas.errors import PermanentError


class InvalidContent(PermanentError):
    """The channel cannot send this content. `kind` is a stable word, and `field` the part of the content."""

    def __init__(self, reason: str, kind: str = "unsupported", field: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.field = field
