"""The replies of the contact in a test run, in order."""

from collections.abc import Sequence

from filas.contract.jobs import GivenReply


class GivenReplies:
    """The replies that a test defines. Several in one list arrive as a burst: an `input` with `collectMs` reads them as
    one reply. A reply that is not in a list ends before the next one begins."""

    def __init__(self, replies: Sequence[GivenReply | list[GivenReply] | None]) -> None:
        self._next = list(replies)
        self._burst: list[GivenReply] = []

    @property
    def count(self) -> int:
        """How many messages have not been sent."""
        given = [one for one in self._next if one is not None]
        return len(self._burst) + sum(len(one) if isinstance(one, list) else 1 for one in given)

    def has_next(self, *, collecting: bool) -> bool:
        """Whether there is a reply; while the execution collects a burst, whether that has a further message."""
        return bool(self._burst) or (bool(self._next) and not collecting)

    def next(self, *, collecting: bool) -> GivenReply | None:
        """The next message. None: the contact does not answer before the wait ends."""
        if not self._burst and not collecting:
            first = self._next.pop(0)
            if first is None or isinstance(first, str | dict):
                return first
            self._burst = list(first)
        return self._burst.pop(0) if self._burst else None
