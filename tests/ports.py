"""TCP ports for the servers that tests start."""

import fcntl
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Below the range from which Linux takes the ports of outgoing connections, so that none of these takes one of ours.
FIRST, LAST = 12_000, 31_999

_start = random.randrange(FIRST, LAST + 1)
_ports: Iterator[int] = itertools.cycle([*range(_start, LAST + 1), *range(FIRST, _start)])
_locks = (Path(tempfile.gettempdir()) / f"filas-test-ports-{os.getuid()}").open("a")


def free_port(*more: int) -> int:
    """A port of the loopback interface on which no process listens, nor on those that are `more` above it.

    No other call returns one of them, in this process or in another run or worker of the tests, until this process
    ends: the process holds a lock on one byte of a file for each port.
    """
    for port in itertools.islice(_ports, LAST + 1 - FIRST):
        if all(_reserved(port + above) for above in (0, *more)):
            return port
    raise AssertionError(f"no port between {FIRST} and {LAST} is free")


def _reserved(port: int) -> bool:
    try:
        fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
