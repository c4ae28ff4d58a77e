"""The body budget: the bound on the bytes of requests that the process holds at one time."""


class BodyBudget:
    """Counts the bytes of all requests, heads and bodies, from their arrival until the request is answered.

    A connection adds the bytes that it receives to `held`, and subtracts them when the request is answered or dropped.
    """

    __slots__ = ("held", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0

    @property
    def is_exceeded(self) -> bool:
        """Whether `held` is more than the budget."""
        return self.held > self.max_bytes
