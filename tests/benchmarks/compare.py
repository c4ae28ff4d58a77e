"""`make bench-compare BASE=<commit>`: measures this checkout and another commit in turn, and lists what differs.

    python -m tests.benchmarks.compare --base COMMIT [--parts NAME …] [--rounds N] [--warm-up S] [--seconds S] [--add]

The drivers and the stores are those of this checkout for both commits. The services run in the interpreter of their own
commit. `--base` may also be a directory that has a checkout of the commit and its `.venv`. Options that follow `--` are
passed to the parts.
"""

import argparse
import sys

from tests.benchmarks.parts import COMPARED, run_all
from tests.benchmarks.report import results
from tests.benchmarks.report.comparison import changes, table
from tests.benchmarks.rounds import UNPUBLISHED, add_options
from tests.benchmarks.trees import checkout, this_tree

DIRECTORY = UNPUBLISHED.with_name("compare")


def main() -> int:
    """Runs the parts. The exit code is 1 if one of them failed; a slower commit is not a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=COMPARED, default=["whole-way"])
    parser.add_argument("rest", nargs="*", help="options of the parts, after `--`")
    add_options(parser)
    parser.set_defaults(rounds=3, results=DIRECTORY)
    options = parser.parse_args()
    if options.base is None:
        parser.error("--base is missing: it names the commit to compare with")
    with checkout(options.base) as base:
        arguments = ["--base", str(base.directory), "--results", str(options.results / base.commit)]
        arguments += ["--rounds", str(options.rounds), "--warm-up", str(options.warm_up)]
        arguments += ["--seconds", str(options.seconds), *(["--add"] if options.add else []), *options.rest]
        failed = run_all(options.parts, *arguments)
        found = results.load_all(options.parts, options.results / base.commit)
        text = table([one for result in found.values() for one in changes(result)], base.commit, this_tree().commit)
    print(f"\n{text}")
    path = options.results / f"{base.commit}.md"
    path.write_text(f"{text}\n")
    print(f"\nwritten to {path}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
