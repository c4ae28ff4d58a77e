"""Starts child processes so that they end with their parent, and as another user where that is necessary."""

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LocalRunError(Exception):
    """The local run cannot continue. The message is one line that states what to do."""

    exit_code = 1


class WrongSetting(LocalRunError):
    """A setting is wrong. The message names the variable."""

    exit_code = 2


UNPRIVILEGED_USERS = ("postgres", "nobody")
"""The users for a server that refuses to run as root. The first one that exists on the machine is used."""


def bound_to_parent(command: list[str], *, user: str | None = None, signal_name: str = "TERM") -> list[str]:
    """Returns the command, wrapped so that the kernel sends it `signal_name` when the thread that started it dies.

    `user` is the user that the command runs as; only root may set it. The command keeps the capability
    `dac_override`, so that a checkout or a data directory below /root works. Without `setpriv` (util-linux), a command
    for the present user is returned unchanged.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        if user is not None:
            raise LocalRunError(
                "Postgres refuses to run as root: run this as another user, or install setpriv (util-linux)"
            )
        return command
    options = [f"--pdeathsig={signal_name}"]
    if user is not None:
        account = pwd.getpwnam(user)
        options += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *options, "--", *command]


def unprivileged_user(data_dir: Path) -> str | None:
    """Returns the user for a server over `data_dir`: the directory's owner, or else an unprivileged user.

    Returns None if the present user is not root: the server then runs as the present user.
    """
    if os.geteuid() != 0:
        return None
    if data_dir.exists() and (owner := data_dir.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner).pw_name
        except KeyError:
            raise LocalRunError(
                f"{data_dir} belongs to user id {owner}, which does not exist on this machine"
            ) from None
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LocalRunError(f"none of the users {', '.join(UNPRIVILEGED_USERS)} exists: run this as a user other than root")


@contextmanager
def run_directory() -> Iterator[Path]:
    """Creates a directory for sockets and pipes and removes it afterwards. Its path is short: a socket path has at most
    107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="filas-"))
    # The user of Postgres must reach its socket directory, but must not list this one.
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
