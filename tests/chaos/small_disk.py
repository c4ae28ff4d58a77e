"""A file system of its own for the data of a store, so that it can be full while the machine is not."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Self

ROOM_BYTES: Final = 8 << 30
"""The size while it is not full. The memory that it uses is what the files in it take."""

_FILL_S: Final = 10.0


class SmallDisk:
    """A tmpfs that is mounted on `directory` as long as the block. Only root on Linux can mount one: see
    `why_no_disk`."""

    def __init__(self, directory: Path, *, room_bytes: int = ROOM_BYTES) -> None:
        self.directory = directory
        self._room_bytes = room_bytes

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._room_bytes},mode=0755", "filas-chaos", str(self.directory))
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", "--lazy", str(self.directory))

    def fill(self) -> None:
        """Leaves no room: the size becomes what the files take now. Raises OSError."""
        deadline = time.monotonic() + _FILL_S
        while True:
            figures = os.statvfs(self.directory)
            try:
                self._resize((figures.f_blocks - figures.f_bfree) * figures.f_frsize)
            except OSError:
                # The files have grown meanwhile, so the size would be too small.
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def free(self) -> None:
        """Gives the room back."""
        self._resize(self._room_bytes)

    def _resize(self, size: int) -> None:
        # A size of 0 would mean that there is no limit.
        _run("mount", "-o", f"remount,size={max(size, os.sysconf('SC_PAGESIZE'))}", str(self.directory))


def why_no_disk() -> str | None:
    """None if a small disk can be made here, otherwise the reason why not."""
    if sys.platform != "linux":
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root, which may mount a small file system"
    with tempfile.TemporaryDirectory(prefix="filas-chaos-") as name:
        try:
            with SmallDisk(Path(name)):
                return None
        except OSError as error:
            return f"no small file system can be mounted: {error}"


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
