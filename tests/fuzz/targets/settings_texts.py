"""Environment variables: settings, or one line that names the variable and has no secret.

Input: the process, lines such as `REDIS_URL=redis://localhost`.
"""

from filas.errors import SettingsError
from filas.settings import settings_reader
from filas.settings.process_settings import (
    FlowRunnerSettings,
    IngestAdminSettings,
    IngestServeSettings,
    IngestWorkSettings,
    NotifierSettings,
    ProcessSettings,
)
from tests.fuzz.target import chosen, first_line, unicode_of

CLASSES: dict[str, type[ProcessSettings]] = {
    "ingest-serve": IngestServeSettings,
    "ingest-admin": IngestAdminSettings,
    "ingest-work": IngestWorkSettings,
    "flow-runner": FlowRunnerSettings,
    "notifier": NotifierSettings,
}
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
REQUIRED = {
    "DATABASE_URL": f"postgresql://user:{SECRET}@db.example:5432/filas",
    "REDIS_URL": f"redis://:{SECRET}@redis.example:6379/0",
    "FILAS_SECRET_KEY": SECRET,
    "FILAS_ADMIN_TOKEN": SECRET,
}
WORDS = (
    *sorted({f"{one.name}=" for kind in CLASSES.values() for one in settings_reader.variables(kind)}), "redis://", "rediss://",
    "redis+sentinel://", "postgresql://", "http://a.example", "[::1]", ":6379", "/0", "?sslmode=require", ",",
    "10.0.0.0/8",    "true", "false", "-1", "1e9", "nan", "inf", "*", "email:a@b.example", "100000000000000000000",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Reads the settings of the process."""
    name, rest = first_line(data)
    environ = dict(REQUIRED)
    for line in unicode_of(rest).split("\n"):
        variable, equals, value = line.partition("=")
        if equals:
            environ[variable] = value
    try:
        settings = settings_reader.load(chosen(CLASSES, name), environ)
    except SettingsError as error:
        assert "\n" not in str(error)
        assert SECRET not in str(error)
        return
    assert SECRET not in repr(settings)
    assert all(SECRET not in weak for weak in settings.weak_keys)
