"""The audit finds a write of a worker that has lost its fence, and reports nothing that is allowed."""

from collections.abc import Callable

import pytest

from filas_local.servers import PostgresServer
from tests.hostile.write_audit import WriteAudit

SET_UP = (
    """insert into executions (id, flow_id, version, node_id, trigger, queued_at)
        values ('00000000-0000-0000-0000-000000000001', 'flow', 1, 'start', '{}', now())""",
    """insert into notifications (id, seq, channel_id, recipient, payload, idempotency_key, due_at, created_at,
            updated_at)
        values ('00000000-0000-0000-0000-000000000002', 1, 'a', 'b', '{}', 'key', now(), now(), now())""",
)
CLAIM = "update executions set status = 'running', fence = fence + 1"
WRITE = "update executions set state = '{}'"
END = "update executions set status = 'succeeded'"
RENEW = "update executions set lease_until = now()"
CANCEL = (
    "update executions set cancel_requested = true, status = case status when 'running' then status else 'queued' end"
)
STEP = """insert into steps (execution_id, seq, node_id, type, status, attempt, started_at)
    select id, 1, 'a', 'b', 'succeeded', 1, now() from executions
    on conflict (execution_id, seq) do update set status = 'failed'"""
SEND = """insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, due_at,
        created_at, updated_at)
    select gen_random_uuid(), id, 1, 'a', 'b', '{}', gen_random_uuid(), now(), now(), now() from executions"""
BEGIN_ATTEMPT = "update notifications set status = 'sending', attempts = attempts + 1"
RECORD = "update notifications set status = 'sent'"
CANCEL_MESSAGE = "update notifications set status = 'cancelled'"

Run = Callable[..., None]


@pytest.fixture
def audit(own_postgres: PostgresServer) -> WriteAudit:
    own_postgres.execute(*SET_UP, database="filas")
    return WriteAudit(own_postgres, ["one", "other", "admin"])


@pytest.fixture
def run(own_postgres: PostgresServer, audit: WriteAudit) -> Run:
    """Runs statements as a process."""

    def as_process(process: str, *statements: str) -> None:
        user = audit.user(process)
        own_postgres.execute(*(f"set session authorization {user}; {one}" for one in statements), database="filas")

    return as_process


@pytest.mark.parametrize("late", [WRITE.replace("{}", "[]"), END, STEP, SEND])
def test_a_write_under_the_claim_of_another_worker_is_found(audit: WriteAudit, run: Run, late: str) -> None:
    run("one", CLAIM, WRITE, STEP, SEND)
    run("other", CLAIM)
    assert audit.faults() == []
    run("one", late)
    [fault] = audit.faults()
    assert fault.endswith("00000000-0000-0000-0000-000000000001 fence 2: written by one, claimed by other")
    assert audit.claims_after_a_lost_lease() == 1


def test_a_step_that_is_written_again_is_found(audit: WriteAudit, run: Run) -> None:
    run("one", CLAIM, STEP)
    run("other", CLAIM, STEP)
    run("one", STEP)
    assert len(audit.faults()) == 1


def test_an_outcome_of_another_attempt_is_found(audit: WriteAudit, run: Run) -> None:
    run("one", BEGIN_ATTEMPT)
    run("other", BEGIN_ATTEMPT)
    assert audit.faults() == []
    run("one", RECORD)
    assert len(audit.faults()) == 1


def test_a_fence_that_goes_back_is_found(audit: WriteAudit, run: Run) -> None:
    run("one", CLAIM, CLAIM, "update executions set fence = 1")
    assert sorted(one.partition(" 0000")[0] for one in audit.faults()) == ["fence of", "two claims of"]


def test_what_others_may_write_is_no_fault(audit: WriteAudit, run: Run) -> None:
    """Renewals, cancels and receipts of a process that holds no claim, and a reply to an execution that waits."""
    run("one", BEGIN_ATTEMPT, CLAIM)
    run("admin", CANCEL, CANCEL_MESSAGE)
    run("one", RENEW, "update executions set status = 'waiting-input'")
    run("other", "update executions set status = 'queued'", CLAIM, END)
    run("other", BEGIN_ATTEMPT)
    run("admin", RECORD)
    assert audit.faults() == []
