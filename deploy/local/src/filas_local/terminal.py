"""One readable log: the lines of every process, each with the name of its process in front."""

import logging
import os
import selectors
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34)
OURS = "filas"
LOG_FILE_BYTES = 5 * 1024 * 1024


class Terminal:
    """Writes whole lines to one stream, from any thread. Colours are used only on a terminal."""

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = max(len(name) for name in [OURS, *names])
        self._colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Writes one line of the process `name`."""
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = f"\x1b[{self._colours.get(name, 1)}m{prefix}\x1b[0m"
        self.plain(f"{prefix} {text}")

    def notice(self, text: str) -> None:
        """Writes a line of the local run itself."""
        self.line(OURS, text)

    def plain(self, text: str) -> None:
        """Writes lines unchanged."""
        with self._lock:
            try:
                print(text, file=self._stream, flush=True)
            except OSError:
                # The terminal was closed. The processes must still be stopped in order.
                self._stream = Path(os.devnull).open("w")  # noqa: SIM115 - it stays open until the process ends


class _LogFile(RotatingFileHandler):
    """A log file that is opened at its first line. A line that cannot be written, for example to a full disk, is lost
    without a report: a report per line would hide the lines in the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of the standard library
        pass


class ServiceLog:
    """Writes the lines of one process to the terminal and to a file, which is rotated at 5 MiB (one old file)."""

    def __init__(self, terminal: Terminal, name: str, path: Path) -> None:
        self._terminal = terminal
        self._name = name
        self._file = _LogFile(path, maxBytes=LOG_FILE_BYTES, backupCount=1, encoding="utf-8", delay=True)

    def write(self, text: str) -> None:
        """Writes one line to both. A file that cannot be written does not stop the terminal."""
        self._terminal.line(self._name, text)
        record = logging.LogRecord(self._name, logging.INFO, "", 0, text, None, None)
        self._file.handle(record)


class LogReader:
    """Reads the pipes of the processes in its own thread and calls the receiver of a pipe for each line."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest: dict[int, bytes] = {}
        self._wake_reader, self._wake_writer = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="log-reader", daemon=True)

    def add_fifo(self, path: Path, receive: Callable[[str], None]) -> None:
        """Creates the named pipe and reads it. Its writers may come and go."""
        os.mkfifo(path, 0o600)
        # It is opened for writing too, so that the pipe does not end while a process is restarted.
        self.add_descriptor(os.open(path, os.O_RDWR | os.O_NONBLOCK), receive)

    def add_descriptor(self, descriptor: int, receive: Callable[[str], None]) -> None:
        """Reads an open pipe, and closes it in the end."""
        self._rest[descriptor] = b""
        self._selector.register(descriptor, selectors.EVENT_READ, receive)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Passes on the lines that have been written so far, and ends the thread."""
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
