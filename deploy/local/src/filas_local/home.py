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
    """The directory and its parts: `redis/`, `postgres/`, `log/`, one file per key, and `env` for a shell."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            # Under root, Postgres runs as another user that must reach `postgres/`. Each part restricts its own access.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
            self.log.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise WrongSetting(f"FILAS_HOME: {self.path} cannot be created: {error.strerror}") from None

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
        """Holds the lock of the directory while the block runs. Raises WrongSetting if another `filas up` holds it."""
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another `filas up` uses {self.path}: stop it, or set FILAS_HOME to another directory"
                raise WrongSetting(message) from None
            yield

    def key(self, name: str) -> str:
        """Returns the secret of this name. It is generated once and stored in a file that only its owner can read."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(KEY_BYTES))
        if value := path.read_text().strip():
            return value
        raise LocalRunError(f"{path} is empty: delete it, and a new key is generated")

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Writes the variables with which a shell reaches this run: `set -a; . .filas/env`."""
        lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
        write_private(self.path / "env", "\n".join(lines))


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600, which it has from the moment it exists."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n")
