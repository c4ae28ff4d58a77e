"""Freezes servers and processes that a test has started: they keep their connections and answer nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filas_local.servers import EmbeddedServer


@contextmanager
def frozen(*servers: EmbeddedServer) -> Iterator[None]:
    """Stops every process of the servers with SIGSTOP while the block runs, and continues them after it."""
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(_frozen(server))
        yield


@contextmanager
def frozen_process(pid: int) -> Iterator[None]:
    """A process that is stopped while the block runs. It is continued whatever happens."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _frozen(server: EmbeddedServer) -> Iterator[None]:
    assert server.pid is not None
    pids = []
    try:
        # The parent first, so that it starts no process meanwhile.
        os.kill(server.pid, signal.SIGSTOP)
        pids.append(server.pid)
        for pid in _children(server.pid):
            os.kill(pid, signal.SIGSTOP)
            pids.append(pid)
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
