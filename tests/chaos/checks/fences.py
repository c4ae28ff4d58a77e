"""A claim gives one worker the right to write, until another worker claims."""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence


def nothing_is_written_after_a_lost_fence(evidence: Evidence) -> Iterator[str]:
    """Every checkpoint, step and message of an execution, and every outcome of an attempt, is written by the worker
    that holds the claim. See `tests.hostile.write_audit`."""
    yield from evidence.writes_without_claim
