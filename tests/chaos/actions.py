"""What operators have done during a run, as the answers of the API report it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["cancel", "replay", "replay-event", "replay-letter", "pause", "resume", "edit"]


@dataclass(slots=True)
class Action:
    """One action, which was repeated until an answer reported that it was done or refused.

    `operation` and `subject` are those that the audit has. `request` is the body. `asked_at` is the time of the first
    call, `answered_at` that of the answer with success, whose data is `answer`; None: there was none. `others` has each
    other answer: a status, or the name of the error. `seen` is what the operator had seen of the subject before.
    """

    kind: Kind
    operation: str
    subject: str
    asked_at: datetime
    request: Any = None
    seen: Any = None
    answered_at: datetime | None = None
    answer: Any = None
    others: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the subject: the id."""
        return self.subject.partition("/")[2]

    @property
    def uncertain(self) -> int:
        """How many of its calls may have changed something although no answer reported it."""
        return sum(not one.startswith("4") for one in self.others)

    @property
    def may_have_happened(self) -> bool:
        """False if each answer was a refusal."""
        return self.answered_at is not None or self.uncertain > 0


def possible(actions: Sequence[Action], *kinds: Kind) -> Iterator[Action]:
    """The actions of these kinds that were not only refused."""
    return (one for one in actions if one.kind in kinds and one.may_have_happened)


def confirmed(actions: Sequence[Action], *kinds: Kind) -> Iterator[tuple[Action, datetime]]:
    """The actions of these kinds that an answer reported as done, each with the time of that answer."""
    return ((one, one.answered_at) for one in actions if one.kind in kinds and one.answered_at is not None)
