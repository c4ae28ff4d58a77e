"""`make bench`: runs the parts one after the other, and writes docs/benchmarks.md after each of them.

    python -m tests.benchmarks [--form long|short] [--only PART …] [--base COMMIT] [--rounds N] [--warm-up S]
        [--seconds S] [--add]

The long form takes 60 s after 15 s of warm-up for each figure, in three rounds, and two hours in all. The short form
takes ten minutes. `--only` runs some parts: the others keep their results. `--add` continues: it adds rounds to the
saved ones if the commit is the same. With `--base`, the whole way is measured in turn with another commit.
"""

import argparse
import sys

from tests.benchmarks.parts import PARTS, run
from tests.benchmarks.report import page
from tests.benchmarks.report.results import RESULTS

FORMS: dict[str, dict[str, list[str]]] = {
    "long": {
        "": ["--rounds", "3", "--warm-up", "15", "--seconds", "60"],
        "price": ["--rounds", "1"],
    },
    "short": {
        "": ["--rounds", "1", "--warm-up", "3", "--seconds", "10"],
        "whole-way": ["--senders", "200"],
        "queue": ["--only", "filas", "BullMQ"],
        "flow-runner": ["--only", "one-runner", "--executions", "3000"],
        "notifier": ["--notifications", "5000", "--channels", "1"],
    },
}
"""The options of all parts (`""`), and those that a part has instead or in addition."""


def arguments(part: str, options: argparse.Namespace) -> list[str]:
    """The options with which a part is run. The last of several equal options is used."""
    form = FORMS[options.form]
    found = [*form[""], *form.get(part, []), "--results", str(RESULTS)]
    for name in ("rounds", "warm_up", "seconds"):
        value = getattr(options, name)
        if value is not None:
            found += [f"--{name.replace('_', '-')}", f"{value:g}"]
    if options.base is not None and part == "whole-way":
        found += ["--base", options.base]
    return [*found, "--add"] if options.add else found


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--form", choices=list(FORMS), default="long")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--base", help="another commit, or a checkout with its .venv")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--warm-up", type=float)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--add", action="store_true", help="adds rounds to the saved ones of the same commit")
    return parser.parse_args(words)


def main() -> int:
    """Runs the parts. The exit code is 1 if one of them failed."""
    options, failed = parsed(), list[str]()
    for part in options.only:
        if not run(part, *arguments(part, options)):
            failed.append(part)
        page.write()
    print(f"written: {page.PAGE}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
