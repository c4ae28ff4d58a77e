"""How many bytes of request bodies the process holds at one time."""


class BodyBudget:
    """Counts the bytes of all bodies from their arrival until their request is answered."""

    __slots__ = ("held", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0

    @property
    def is_exceeded(self) -> bool:
        """Whether more bytes are held than may be."""
        return self.held > self.max_bytes

    def add(self, count: int) -> None:
        """So many bytes have arrived."""
        self.held += count

    def release(self, count: int) -> None:
        """So many bytes are not held any more."""
        self.held -= count
