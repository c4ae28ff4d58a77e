"""One readable log: the lines of every process, each behind the name of its process."""

import os
import selectors
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34)
OURS = "filas"


class Terminal:
    """Writes whole lines to one stream, from any thread. Colours only where somebody looks at it."""

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = max(len(name) for name in [OURS, *names])
        self._colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """One line of the process `name`."""
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = f"\x1b[{self._colours.get(name, 1)}m{prefix}\x1b[0m"
        self.plain(f"{prefix} {text}")

    def say(self, text: str) -> None:
        """A line of the local run itself."""
        self.line(OURS, text)

    def plain(self, text: str) -> None:
        """Lines as they are."""
        with self._lock:
            try:
                print(text, file=self._stream, flush=True)
            except OSError:
                # The terminal is gone; everything must still be stopped in order.
                self._stream = Path(os.devnull).open("w")  # noqa: SIM115 - open for as long as we live


class LogReader:
    """Reads the processes' pipes in a thread of its own and hands on line by line."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest: dict[int, bytes] = {}
        self._wake_reader, self._wake_writer = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="log-reader", daemon=True)

    def add_fifo(self, path: Path, receive: Callable[[str], None]) -> None:
        """Make the named pipe and read it. Its writers may come and go."""
        os.mkfifo(path, 0o600)
        # Open for writing too, so that the pipe has no end while a process is being restarted.
        self.add_descriptor(os.open(path, os.O_RDWR | os.O_NONBLOCK), receive)

    def add_descriptor(self, descriptor: int, receive: Callable[[str], None]) -> None:
        """Read an open pipe, and close it in the end."""
        self._rest[descriptor] = b""
        self._selector.register(descriptor, selectors.EVENT_READ, receive)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Hand on what has been written until now, and end the thread."""
        if self._thread.is_alive():
            os.write(self._wake_writer, b".")
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            ready = self._selector.select()
            for key, _ in ready:
                if key.data is not None:
                    self._read(key.fd, key.data)
            if any(key.data is None for key, _ in ready):
                break
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._read(key.fd, key.data)
            os.close(key.fd)
        self._selector.close()

    def _read(self, descriptor: int, receive: Callable[[str], None]) -> None:
        try:
            chunk = os.read(descriptor, 1 << 20)
        except BlockingIOError:
            return
        if not chunk and descriptor in self._rest:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            return
        *lines, self._rest[descriptor] = (self._rest[descriptor] + chunk).split(b"\n")
        for line in lines:
            receive(line.decode(errors="replace"))
