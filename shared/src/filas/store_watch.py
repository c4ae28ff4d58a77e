"""Notices that a store does not answer, gives up the calls that wait for it, and probes it in the background.

Nothing runs while the store answers quickly. A call that has had no answer for SUSPECT_S starts a beat: a small call on
a connection of its own, so that a long statement or a full pool is not taken for an outage.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

from filas.errors import StoreUnavailable
from filas.store_circuit import StoreCircuit

SUSPECT_S: Final = 0.05
SLICE_S: Final = 0.025
"""How often the time without an answer is counted. A process that gets no processor time counts no slices."""

SERVER_PATIENCE_S: Final = 1.0
"""The patience of the processes that answer requests: a request waits at most one second for stores that are silent."""

WORKER_PATIENCE_S: Final = 3.0
"""The patience of the other processes. No request waits for them, and a call that is given up too early is repeated."""

NO_ANSWER: Final = "timed out"


class CallSkipped(StoreUnavailable):
    """The call was not sent, because the store does not answer."""


class StoreWatch:
    """Drives the circuit of one store.

    `beat` asks the store for a small answer, and raises if there is none. `on_silence` is called when the circuit opens
    because the store does not answer. `is_answer` returns whether an error came at once, such as a refused connection:
    then the caller does not wait, and the circuit stays closed.
    """

    def __init__(
        self,
        circuit: StoreCircuit,
        beat: Callable[[], Coroutine[Any, Any, None]],
        on_silence: Callable[[], None],
        is_answer: Callable[[Exception], bool],
    ) -> None:
        self.circuit = circuit
        self.peers: list[StoreWatch] = []
        self._beat = beat
        self._on_silence = on_silence
        self._is_answer = is_answer
        self._timer: asyncio.TimerHandle | None = None
        self._examination: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._abandonable: set[asyncio.Timeout] = set()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call to the store while the block runs. Raises CallSkipped if the circuit is not closed."""
        circuit = self.circuit
        if circuit.problem is not None:
            raise CallSkipped(circuit.name, circuit.problem)
        circuit.began()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SUSPECT_S, self._look)
        answered = False
        try:
            yield
            answered = True
        except Exception as error:
            answered = self._is_answer(error)
            raise
        finally:
            circuit.ended(answered=answered)

    @contextlib.asynccontextmanager
    async def abandonable(self) -> AsyncIterator[None]:
        """Ends the block with StoreUnavailable when the circuit opens because the store does not answer."""
        try:
            async with asyncio.timeout(None) as timeout:
                self._abandonable.add(timeout)
                try:
                    yield
                finally:
                    self._abandonable.discard(timeout)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise StoreUnavailable(self.circuit.name, NO_ANSWER) from error

    def prepare(self) -> None:
        """Sends a beat now, so that its connection is open when it is needed."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._send_beat())

    def examine(self) -> None:
        """Tests now whether the store answers, unless that is being tested."""
        if self._examination is None and self.circuit.state == "closed":
            self._examination = asyncio.create_task(self._examine(), name=f"examine-{self.circuit.name}")

    async def close(self) -> None:
        """Ends the watch."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in (self._examination, self._beating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _look(self) -> None:
        """Looks for silence, again and again while calls wait."""
        silent_s = self.circuit.silent_s
        if silent_s == 0.0 or self.circuit.state != "closed":
            self._timer = None
            return
        self._timer = asyncio.get_running_loop().call_later(SLICE_S, self._look)
        if silent_s >= SUSPECT_S:
            # One request may need both stores. They are examined at the same time, so that it waits only once.
            for watch in (self, *self.peers):
                watch.examine()

    async def _examine(self) -> None:
        """Opens the circuit if neither a beat nor a call is answered in time."""
        circuit = self.circuit
        silent_s, answers = SUSPECT_S, circuit.answers
        try:
            while circuit.state == "closed" and circuit.answers == answers:
                # A beat that is late is not given up when a call is answered: its connection may be needed soon again.
                if self._beating is None:
                    self._beating = asyncio.create_task(self._send_beat())
                await asyncio.wait({self._beating}, timeout=SLICE_S)
                silent_s += SLICE_S
                if silent_s >= circuit.patience_s and circuit.answers == answers:
                    self._give_up()
        finally:
            self._examination = None

    async def _send_beat(self) -> None:
        try:
            await self._beat()
            self.circuit.answered()
        except Exception as error:
            if self._is_answer(error):
                self.circuit.answered()
        finally:
            self._beating = None

    def _give_up(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        self.circuit.open(NO_ANSWER)
        self._on_silence()
        now = asyncio.get_running_loop().time()
        for timeout in tuple(self._abandonable):
            timeout.reschedule(now)


def limit_silence(watches: Sequence[StoreWatch], patience_s: float = SERVER_PATIENCE_S) -> None:
    """Makes a process that needs these stores for one answer wait at most `patience_s` for all that are silent."""
    distinct = list(dict.fromkeys(watches))
    for watch in distinct:
        watch.circuit.patience_s = patience_s
        watch.peers = [other for other in distinct if other is not watch]
