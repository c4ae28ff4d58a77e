"""Looking at processes from outside."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process of this id lives; a zombie that waits for its parent lives no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
