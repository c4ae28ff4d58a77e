"""The processes and their queues."""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence


def nothing_is_left_in_the_queues(evidence: Evidence) -> Iterator[str]:
    """After the run, no job waits or is active."""
    if evidence.unfinished_jobs:
        yield f"{evidence.unfinished_jobs} jobs are unfinished"


def no_process_ends_by_itself(evidence: Evidence) -> Iterator[str]:
    """Every process survives what happens to the others."""
    for name, code in evidence.ended.items():
        yield f"{name} ended with {code}"
