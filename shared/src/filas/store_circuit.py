"""Decides whether a store is used: a store that does not answer is skipped, and probed in the background.

| state   | meaning                                          | moved to another state by                           |
|---------|--------------------------------------------------|-----------------------------------------------------|
| closed  | the store is used                                | no answer for `patience_s`, or an error: open       |
| open    | calls are refused at once with `problem`         | the start of the next probe: probing                |
| probing | calls are refused, and one probe is in progress  | the probe's result: closed or open                  |

The class reads no clock but the one that is passed in, and it does no I/O: `filas.store_watch` drives it.
"""

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "probing"]


class StoreCircuit:
    """The circuit of the store `name`. `clock` returns seconds and never goes back.

    `patience_s` is how long a call may have no answer before the circuit opens. An answer to any call counts: a single
    slow statement does not open the circuit. `on_change` is called after each change of the state or the problem.
    """

    def __init__(
        self,
        name: str,
        *,
        patience_s: float,
        problem: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.patience_s = patience_s
        self.on_change: Callable[[StoreCircuit], None] = _nothing
        self._clock = clock
        self._problem = problem
        self._state: State = "closed" if problem is None else "open"
        self._calls = 0
        self._silent_since: float | None = None
        self.answers = 0
        """How many answers there have been."""

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def problem(self) -> str | None:
        """Why the store is not used; None if it is used."""
        return self._problem

    @property
    def silent_s(self) -> float:
        """The seconds since the last answer, or since the first call that has had none. 0 if no answer is missing."""
        return 0.0 if self._silent_since is None else self._clock() - self._silent_since

    def began(self) -> None:
        """A call was sent to the store."""
        self._calls += 1
        if self._silent_since is None:
            self._silent_since = self._clock()

    def ended(self, *, answered: bool) -> None:
        """A call ended. If it was given up, its answer is still missing."""
        self._calls -= 1
        if answered:
            self.answered()

    def answered(self) -> None:
        """The store answered a call or a probe."""
        self.answers += 1
        self._silent_since = self._clock() if self._calls else None

    def open(self, problem: str) -> None:
        """The store is not used from now on, or a probe has failed."""
        self._change("open", problem)

    def probe(self) -> None:
        """A probe begins."""
        if self._state == "open":
            self._change("probing", self._problem)

    def close(self) -> None:
        """A probe was successful: the store is used again."""
        self.answered()
        self._change("closed", None)

    def _change(self, state: State, problem: str | None) -> None:
        if (state, problem) != (self._state, self._problem):
            self._state, self._problem = state, problem
            self.on_change(self)


def _nothing(_circuit: StoreCircuit) -> None:
    """The default of `on_change`."""
