"""The code of Filas that an input reaches: the steps from one line to another, without the fuzzer."""

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

PACKAGES = ("filas", "ingest", "flow_runner", "notifier")
"""The code that is fuzzed."""

Step = tuple[CodeType, int, int]


def steps(work: Callable[[], None]) -> set[Step]:
    """The steps within functions while `work` runs."""
    found: set[Step] = set()

    def watch(frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_globals.get("__name__") or ""
        return _of_lines(frame.f_code, found) if name.partition(".")[0] in PACKAGES else None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


def _of_lines(code: CodeType, found: set[Step]) -> Any:
    last = 0

    def watch_lines(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal last
        if event == "line":
            found.add((code, last, frame.f_lineno))
            last = frame.f_lineno
        return watch_lines

    return watch_lines
