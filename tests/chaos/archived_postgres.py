"""A Postgres that archives its log, whose data directory can be given up for a restored backup."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from filas_local.launching import LocalRunError, bound_to_parent, unprivileged_user
from filas_local.servers import PostgresServer, postgres_binary

RECOVERY_BOUND_S: Final = 180.0


class ArchivedPostgres(PostgresServer):
    """A server whose data are below `disk`, and whose backups and archived log are below `safe`.

    Its socket stays where it is when another data directory takes over, as an address that moves with the role.
    """

    def __init__(self, disk: Path, safe: Path, *, log_path: Path) -> None:
        super().__init__(disk / "postgres-1", log_path=log_path)
        self._disk = disk
        self._archive = safe / "archive"
        self._backups = safe / "backups"
        self._number = 1
        self._backup: Path | None = None
        self._backup_of: Path | None = None
        self._changes = threading.Lock()

    @property
    def is_backed_up(self) -> bool:
        """Whether there is a backup of the present data directory. One of the directory before is good too, but takes
        longer to restore."""
        return self._backup_of == self.data_dir

    def prepare(self) -> None:
        super().prepare()
        for directory in (self._archive, self._backups):
            directory.mkdir(parents=True, exist_ok=True)
            self._hand_over(directory)

    def command(self) -> list[str]:
        copy = f'cp "%p" "{self._archive}/%f.part" && mv "{self._archive}/%f.part" "{self._archive}/%f"'
        restore = f'cp "{self._archive}/%f" "%p"'
        settings = {"archive_mode": "on", "archive_command": copy, "restore_command": restore}
        return super().command() + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def back_up(self) -> None:
        """Makes a new base backup, and then deletes the one before and the log that only it needs.

        Raises LocalRunError if the server does not last until the end: the one before is still there.
        """
        with self._changes:
            made = self._backups / f"after-{time.monotonic_ns()}"
            command = [postgres_binary("pg_basebackup"), "--host", str(self.socket_dir), "--username", self.user]
            command += ["--pgdata", str(made), "--checkpoint=fast", "--wal-method=stream", "--no-sync"]
            try:
                self._run(command)
            except LocalRunError:
                shutil.rmtree(made, ignore_errors=True)
                raise
            before, self._backup, self._backup_of = self._backup, made, self.data_dir
            if before is not None:
                shutil.rmtree(before)
            label = (made / "backup_label").read_text()
            first = label.partition("(file ")[2].partition(")")[0]
            self._run([postgres_binary("pg_archivecleanup"), str(self._archive), first])

    def kill_all(self) -> None:
        """Kills the server and each of its processes, and returns when all have ended: none of them writes or answers
        any more."""
        if self.pid is None:
            return
        os.kill(self.pid, signal.SIGSTOP)  # so that it starts no further process
        children = [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill()
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            time.sleep(0.01)

    def give_up_data(self) -> None:
        """Gives the data directory up: the next start uses the backup and every change since, as far as the log in the
        archive and in the old directory reaches. The server must not run."""
        assert self._backup is not None, "there is no backup yet"
        with self._changes:
            old = self.data_dir
            self._number += 1
            self.data_dir = self._disk / f"postgres-{self._number}"
            self._run(["cp", "-a", str(self._backup), str(self.data_dir)])
            # The directory of the log can still be read, as after the loss of the disk with the tables.
            for path in (old / "pg_wal").iterdir():
                if path.is_file():
                    self._run(["cp", "-a", str(path), str(self.data_dir / "pg_wal" / path.name)])
            (self.data_dir / "recovery.signal").touch()
            self._hand_over(self.data_dir / "recovery.signal")
            shutil.rmtree(old)

    def wait_promoted(self) -> None:
        """Returns when the server has read all of the log and accepts writes. Raises LocalRunError."""
        deadline = time.monotonic() + RECOVERY_BOUND_S
        while self.execute("select pg_is_in_recovery()") != "f":
            if time.monotonic() > deadline:
                raise LocalRunError(f"postgres is not promoted: {self.log_end()}")
            time.sleep(0.1)

    def _run(self, command: list[str]) -> None:
        user = unprivileged_user(self.data_dir)
        done = subprocess.run(bound_to_parent(command, user=user), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise LocalRunError(f"{Path(command[0]).name}: {done.stderr.strip()}")

    def _hand_over(self, path: Path) -> None:
        """Makes the user of the server the owner of `path`."""
        if (user := unprivileged_user(self._disk / "postgres-1")) is not None:
            account = pwd.getpwnam(user)
            os.chown(path, account.pw_uid, account.pw_gid)
