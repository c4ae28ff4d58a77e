"""`make bench`: runs every benchmark of this directory, one after the other. Each prints its table."""

import pkgutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Runs the benchmarks. The exit code is 1 if one of them failed."""
    failed = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name == "__main__":
            continue
        print(f"== {module.name}", flush=True)
        # Each benchmark has its own process, so the heap of the previous one does not affect it.
        if subprocess.run([sys.executable, "-m", f"{__package__}.{module.name}"], check=False).returncode != 0:
            failed.append(module.name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
