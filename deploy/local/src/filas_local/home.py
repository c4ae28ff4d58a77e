"""The directory in which the local run keeps its data and its keys (`FILAS_HOME`, by default `.filas`)."""

import fcntl
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filas_local.launching import LocalRunError, WrongSetting

KEY_BYTES = 32


class Home:
    """Its parts: `redis/`, `postgres/`, `log/`, one file a key, and `env`, which a shell can read in."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            # Root's Postgres runs as another user, who must get through to `postgres/`; each part closes itself.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
            self.log.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise WrongSetting(f"FILAS_HOME: {self.path} can't be made: {error.strerror}") from None

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second `filas up` out. Raises LocalRunError when there is a first."""
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another `filas up` uses {self.path}: stop it, or set FILAS_HOME to another directory"
                raise WrongSetting(message) from None
            yield

    def key(self, name: str) -> str:
        """The secret of this name: made once, kept in a file that only its owner reads."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(KEY_BYTES))
        if value := path.read_text().strip():
            return value
        raise LocalRunError(f"{path} is empty: remove it, and a new key is made")

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Keep the variables that reach this run: `set -a; . .filas/env` gives them to a shell."""
        lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
        write_private(self.path / "env", "\n".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n")
