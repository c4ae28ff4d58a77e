"""Wherever the worker is killed, a flow that waits for its messages takes the same path and sends each of them once."""

import itertools
from collections import deque

import pytest

from filas.errors import RetryLater
from filas.models.executions import FINAL_EXECUTION_STATUSES
from filas.models.record import ErrorDetail
from tests.flow_runner.harness import Harness, flow, node, path
from tests.flow_runner.memory import Row
from tests.flow_runner.test_conversations import job, running
from tests.flow_runner.test_jobs import CONTEXT
from tests.flow_runner.test_random_graphs import DyingRows, Killed

REFUSED = ErrorDetail(kind="window-closed", message="131047 Re-engagement message")

TALK = flow(
    node("greet", "message", text="oi", onError="branch"),
    node("ask", "input", prompt="Nome?", variable="nome", onError="branch"),
    node("mail", "notify", channel="mail", to="a@b.example", text="{{ vars.nome }}", onError="branch"),
    node("done", "end"),
    node("sorry", "end", status="failed"),
    edges="start>greet greet.out>ask ask.out>mail mail.out>done greet.error>sorry ask.error>sorry mail.error>sorry",
    variables=[{"name": "nome"}],
)
NODES = ("greet", "ask", "mail")


class Talk:
    """One conversation. The worker is killed at point number `dies_at` (from 1): before or after a claim or a write.

    The message of each node in `failing` fails, the others are sent. With `late`, the outcomes arrive only when each
    wait is over.
    """

    def __init__(self, dies_at: int, failing: str | None, *, late: bool) -> None:
        self.harness = Harness(DyingRows)
        assert isinstance(self.harness.rows, DyingRows)
        points = itertools.count(1)
        self.died = False

        def dies() -> bool:
            self.died |= next(points) == dies_at
            return self.died and not self._was_killed

        self._was_killed = False
        self.harness.rows.dies = dies
        self._failing, self._late = failing, late
        self._run = running(self.harness, TALK)
        self._reported: set[object] = set()
        self.row = self.harness.rows.add()
        self._jobs: deque[Row] = deque([self.row])
        self._has_replied = False

    async def finish(self) -> Row:
        for _ in range(100):
            if self._jobs:
                await self._attempt(self._jobs[0])
            if self.row.status in FINAL_EXECUTION_STATUSES:
                return self.row
            self._continue()
        raise AssertionError(f"still {self.row.status}, {path(self.row)}")

    async def _attempt(self, row: Row) -> None:
        try:
            await self._run(CONTEXT, job(row))
        except Killed:
            self._was_killed = True
            self.harness.clock.advance(60 if self.row.status == "running" else 0)
        except RetryLater as later:
            if self._late or self.row.status != "waiting-callback":
                self.harness.clock.advance(later.delay_s)
        else:
            self._jobs.popleft()

    def _continue(self) -> None:
        """The outcomes arrive, the contact replies, and a job is enqueued for a row that has none."""
        for message in list(self.harness.rows.notifications.values()):
            waits = message.id == self.row.awaits_message and self.row.status == "waiting-callback"
            if message.id in self._reported or (self._late and waits):
                continue
            node_id = self.row.steps[message.seq].node_id
            status = "failed" if node_id == self._failing else "sent"
            if self.row.status == "waiting-input" and status == "sent":
                continue
            answer = self.harness.rows.learn(message.id, status, REFUSED if status == "failed" else None)
            if answer != "running":
                self._reported.add(message.id)
        if self.row.status == "waiting-input" and not self._has_replied:
            self._has_replied = True
            self._jobs.append(self.harness.rows.add(text="Ana"))
        elif not self._jobs:
            self._jobs.append(self.row)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("failing", "visited"),
    [
        (None, ["greet", "ask", "mail", "done"]),
        ("greet", ["greet", "sorry"]),
        ("ask", ["greet", "ask", "sorry"]),
        ("mail", ["greet", "ask", "mail", "sorry"]),
    ],
)
async def test_a_kill_at_any_write_changes_nothing(failing: str | None, visited: list[str], late: bool) -> None:
    """The outcomes arrive as soon as the messages are written, or after each wait is over: then nothing fails but the
    question, which waits longer."""
    if late and failing in ("greet", "mail"):
        visited = ["greet", "ask", "mail", "done"]
    for dies_at in itertools.count(1):
        talk = Talk(dies_at, failing, late=late)
        row = await talk.finish()
        assert path(row)[1:] == visited, f"killed at point {dies_at}"
        sent = [row.steps[one.seq].node_id for one in talk.harness.rows.notifications.values()]
        assert sent == [name for name in NODES if name in visited], f"killed at point {dies_at}"
        assert all(step.ended_at is not None for step in row.steps.values())
        if not talk.died:
            assert dies_at > 8
            break
