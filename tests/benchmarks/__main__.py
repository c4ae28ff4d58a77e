"""`make bench`: runs every part, one after the other."""

import sys

from tests.benchmarks.parts import PARTS, run_all


def main() -> int:
    """Runs the parts. The exit code is 1 if one of them failed."""
    failed = run_all(list(PARTS), *sys.argv[1:])
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
