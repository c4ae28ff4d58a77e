"""How a child process is started so that it ends with its parent, and, where it must, as another user."""

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LocalRunError(Exception):
    """The local run can't go on. The message is one line that says what to do."""

    exit_code = 1


class WrongSetting(LocalRunError):
    """It can't start as it is set. The message names the variable."""

    exit_code = 2


UNPRIVILEGED_USERS = ("postgres", "nobody")
"""Whom root becomes for a server that refuses to run as root: the first of these that the machine has."""


def bound_to_parent(command: list[str], *, user: str | None = None, signal_name: str = "TERM") -> list[str]:
    """The command, wrapped so that the kernel sends it `signal_name` when the thread that started it dies.

    `user` (only root may name one) is whom it runs as. It keeps the one right to open files past the
    permissions of directories, so that a checkout or a data directory below /root works.
    Without `setpriv` (util-linux) a command of our own user comes back as it was.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        if user is not None:
            raise LocalRunError("run this as an ordinary user, or install setpriv (util-linux): Postgres refuses root")
        return command
    options = [f"--pdeathsig={signal_name}"]
    if user is not None:
        account = pwd.getpwnam(user)
        options += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *options, "--", *command]


def unprivileged_user(data_dir: Path) -> str | None:
    """Whom root must become to run a server over `data_dir`: its present owner, else an unprivileged user.

    None when we are not root, and so may stay who we are.
    """
    if os.geteuid() != 0:
        return None
    if data_dir.exists() and (owner := data_dir.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner).pw_name
        except KeyError:
            raise LocalRunError(f"{data_dir} belongs to the user {owner}, whom this machine doesn't have") from None
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LocalRunError(f"none of the users {', '.join(UNPRIVILEGED_USERS)} exists: run this as an ordinary user")


@contextmanager
def run_directory() -> Iterator[Path]:
    """A directory for sockets and pipes, gone afterwards: its path is short, since a socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="filas-"))
    # Whoever Postgres runs as must get through to its socket directory, and can't list what else is here.
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
