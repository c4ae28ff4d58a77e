"""The memory limits with which Filas is shipped (deploy/memory-limits.yml)."""

from pathlib import Path
from typing import Any, Final

import yaml

_LIMITS: Final[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "deploy" / "memory-limits.yml").read_text()
)

LIMITS_MIB: Final[dict[str, int]] = _LIMITS["processes"]
"""The limit of each process in MiB, by its name in compose and Kubernetes."""

JOBS_MIB: Final[dict[str, int]] = _LIMITS["jobs"]
STORES: Final[dict[str, dict[str, int]]] = _LIMITS["stores"]
"""`limit` and `maxmemory` of each store in MiB."""
