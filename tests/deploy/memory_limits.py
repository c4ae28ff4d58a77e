"""The memory limits with which Filas is shipped."""

from pathlib import Path
from typing import Final

import yaml

FILE: Final = Path(__file__).parents[2] / "deploy" / "memory-limits.yml"
LIMITS_MIB: Final[dict[str, int]] = yaml.safe_load(FILE.read_text())
"""The limit of each process and store in MiB, by its name in compose and Kubernetes."""
