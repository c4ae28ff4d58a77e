"""Fuzzes one target in this process, with libFuzzer's options: `python -m tests.fuzz.fuzzing TARGET [OPTION|FOLDER …]`.

Atheris instruments the code of Filas while it is imported, so this module imports none of it before.
"""

import random
import sys
import time
from typing import Any

import atheris
import msgspec

from tests.fuzz import json_changes
from tests.fuzz.reached_code import PACKAGES

MAX_CPU_S = 3.0
"""The most processor time of one input. Instrumented code takes several times as long as it does in production."""


class TooSlow(Exception):
    """One input took more than MAX_CPU_S."""


def main(arguments: list[str]) -> None:
    """Fuzzes the target that the first argument names. libFuzzer ends the process."""
    with atheris.instrument_imports(include=list(PACKAGES)):
        from tests.fuzz import target as targets

        target = targets.load(arguments[1])

    def run(data: bytes) -> None:
        started = time.thread_time()
        target.fuzz(data)
        taken = time.thread_time() - started
        if taken > MAX_CPU_S:
            raise TooSlow(f"{len(data)} bytes took {taken:.1f} s")

    def change(data: bytes, max_bytes: int, seed: int) -> Any:
        line, _, rest = data.partition(b"\n")
        if random.Random(seed).random() < 0.7:
            try:
                document = msgspec.json.decode(rest)
            except (ValueError, RecursionError):
                return atheris.Mutate(data, max_bytes)
            found = json_changes.encoded(json_changes.changed(document, target.words, seed), max_bytes - len(line) - 1)
            if found is not None:
                return line + b"\n" + found
        return atheris.Mutate(data, max_bytes)

    options = {"custom_mutator": change} if target.has_documents else {}
    atheris.Setup([arguments[0], *arguments[2:]], run, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
