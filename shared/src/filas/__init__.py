"""What the services share: job messages, the queue engine and the Postgres repository.

Other Python code enqueues jobs with `filas.Producer`. It is imported only when it is used, so that `import filas` stays
quick and each service imports only what it needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filas.job_producer import Producer

__all__ = ["Producer"]


def __getattr__(name: str) -> Any:
    if name == "Producer":
        from filas.job_producer import Producer  # noqa: PLC0415 - imported when it is used

        return Producer
    raise AttributeError(f"module 'filas' has no attribute {name!r}")
