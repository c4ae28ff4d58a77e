"""The engine visits a flow's nodes once, in order, and records what it did."""

import asyncio
from datetime import timedelta

import pytest

from filas.errors import LeaseLost, OutboundTimeout, PermanentError, RetryLater, StoreUnavailable
from flow_runner.engine.execution_state import decode
from tests.flow_runner.harness import Call, Harness, Response, chain, compiled_flow, flow, node, path, step

HI = node("hi", "message", text="Olá {{ conversation.text }}!")
CALL = node("call", "api", method="POST", url="https://crm.example/contacts", body={"a": "{{ webhook.body.text }}"})


async def test_a_flow_without_an_outbound_call_is_one_checkpoint() -> None:
    """Trigger, condition and message are written in the transaction that ends the execution."""
    harness = Harness()
    is_hi = node(
        "is-hi", "condition", rules=[{"variable": "{{ webhook.body.text }}", "operator": "contains", "value": "oi"}]
    )
    row = await harness.run(flow(is_hi, HI, edges="start>is-hi is-hi.true>hi"))
    assert (row.status, path(row), len(harness.rows.checkpoints)) == ("succeeded", ["start", "is-hi", "hi"], 1)
    [notification] = harness.rows.notifications.values()
    assert notification.payload == {"type": "text", "text": "Olá oi!"}
    assert notification.idempotency_key == f"{row.id}:3"
    assert (notification.channel_id, notification.recipient) == ("demo", "55119")
    assert [step.handle for step in row.steps.values()] == ["out", "true", "out"]


async def test_a_message_is_written_before_a_call_and_the_call_before_the_next() -> None:
    """A message is written and sent before a call starts, so that a slow call does not delay it."""
    harness = Harness()
    seen: list[int] = []

    def answer(_: Call) -> Response:
        seen.append(len(harness.rows.notifications))
        return Response()

    harness.outbound.respond = answer
    row = await harness.run(chain(HI, CALL, CALL | {"id": "call2"}))
    assert (seen, len(harness.rows.checkpoints), row.status) == ([1, 1], 3, "succeeded")


async def test_edges_from_one_handle_run_one_after_another() -> None:
    """The whole branch of the first edge comes before that of the second."""
    harness = Harness()
    say = [node(name, "set-variable", assignments=[{"variable": "x", "value": name}]) for name in "abcd"]
    edges = "start>a a>b start>c c>d"
    row = await harness.run(flow(*say, edges=edges, variables=[{"name": "x"}]))
    assert path(row) == ["start", "a", "b", "c", "d"]


async def test_end_ends_the_whole_execution() -> None:
    harness = Harness()
    end = node("end", "end", status="failed", output={"said": "{{ webhook.body.text }}"})
    row = await harness.run(flow(end, HI, edges="start>end start>hi"))
    assert (row.status, row.output, path(row)) == ("failed", {"said": "oi"}, ["start", "end"])
    assert row.error is not None
    assert row.error.node_id == "end"


async def test_a_crash_between_effect_and_checkpoint_repeats_it_under_the_same_key() -> None:
    """The killed worker made its call. The next worker makes the call again under the same key."""
    harness = Harness()
    compiled = compiled_flow(chain(HI, CALL, HI | {"id": "bye"}))
    row = harness.rows.add()
    harness.outbound.hold()
    killed = asyncio.create_task(harness.run_once(row, compiled))
    await harness.outbound.called()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    harness.crash(row)
    harness.outbound.respond = lambda _: Response()
    await harness.finish(row, compiled)
    keys = [call.headers["Idempotency-Key"] for call in harness.outbound.calls]
    assert keys == [f"{row.id}:3"] * 2
    assert (row.status, path(row), len(harness.rows.notifications)) == ("succeeded", ["start", "hi", "call", "bye"], 2)


async def test_an_effect_that_must_not_be_repeated_is_uncertain_after_a_crash() -> None:
    """`onUncertain: fail` makes no second call. The execution leaves by the error branch."""
    harness = Harness()
    careful = CALL["data"] | {"onUncertain": "fail", "onError": "branch"}
    compiled = compiled_flow(flow(CALL | {"data": careful}, HI, edges="start>call call.error>hi"))
    row = harness.rows.add()
    harness.outbound.hold()
    killed = asyncio.create_task(harness.run_once(row, compiled))
    await harness.outbound.called()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    assert step(row, "call").status == "running"
    harness.crash(row)
    await harness.finish(row, compiled)
    error = step(row, "call").error
    assert error is not None
    assert (len(harness.outbound.calls), error.kind, path(row)) == (1, "uncertain", ["start", "call", "hi"])


async def test_a_worker_that_lost_its_lease_writes_nothing_more() -> None:
    """The fence rejects the late checkpoint of the first worker. The second worker's result is kept."""
    harness = Harness()
    compiled = compiled_flow(chain(CALL, HI))
    row = harness.rows.add()
    release = harness.outbound.hold()
    first = asyncio.create_task(harness.run_once(row, compiled))
    await harness.outbound.called()
    harness.clock.advance(60)
    harness.outbound.respond = lambda _: Response()
    assert await harness.run_once(row, compiled) == "succeeded"
    release.set()
    with pytest.raises(LeaseLost):
        await first
    assert (row.status, len(harness.rows.notifications)) == ("succeeded", 1)


async def test_a_lost_lease_stops_the_execution_at_its_renewal() -> None:
    """The renewal of all leases finds that one is lost and stops only that execution."""
    harness = Harness()
    compiled = compiled_flow(chain(CALL))
    row, other = harness.rows.add(), harness.rows.add()
    release = harness.outbound.hold()
    tasks = [asyncio.create_task(harness.run_once(each, compiled)) for each in (row, other)]
    await harness.outbound.called(2)
    row.fence += 1
    await harness.executions.renew_once()
    with pytest.raises(LeaseLost):
        await tasks[0]
    release.set()
    assert await tasks[1] == "succeeded"


async def test_a_renewal_while_a_runs_jobs_are_enqueued_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint has ended the lease, and Redis takes long for the jobs that follow from it."""
    harness = Harness()
    enqueuing, release = asyncio.Event(), asyncio.Event()

    async def enqueue(_written: object) -> bool:
        enqueuing.set()
        await release.wait()
        return False

    monkeypatch.setattr(harness, "enqueue", enqueue)
    row = harness.rows.add()
    task = asyncio.create_task(harness.run_once(row, compiled_flow(chain(HI))))
    await enqueuing.wait()
    await harness.executions.renew_once()
    release.set()
    # The job is retried, and enqueues the jobs before the conversation's next message begins.
    with pytest.raises(StoreUnavailable):
        await task
    assert row.status == "succeeded"


async def test_two_workers_cannot_run_one_execution_at_once() -> None:
    """The second claim raises RetryLater, which uses no attempt of its job."""
    harness = Harness()
    row = harness.rows.add()
    claims = await asyncio.gather(
        harness.executions.claim(row.id, 1), harness.worker("w2").claim(row.id, 1), return_exceptions=True
    )
    [refused] = [claim for claim in claims if isinstance(claim, RetryLater)]
    assert refused.uses_attempt is False
    assert sum(claim is not None for claim in claims) == 2


async def test_a_late_job_of_an_earlier_run_finds_nothing_to_do() -> None:
    harness = Harness()
    row = await harness.run(chain(node("d", "delay", ms=1000)))
    assert row.turn == 2
    assert await harness.executions.claim(row.id, 1) is None


async def test_a_delay_is_one_step_that_needs_no_worker() -> None:
    """The run ends with the time in the row. The next run ends the same step."""
    harness = Harness()
    compiled = compiled_flow(chain(node("wait", "delay", ms=60_000), HI))
    row = harness.rows.add()
    assert await harness.run_once(row, compiled) == "waiting-timer"
    assert (row.wake_at, step(row, "wait").status) == (harness.rows.clock.now() + timedelta(seconds=60), "waiting")
    assert await harness.run_once(row, compiled) is None, "not due yet"
    harness.clock.advance(61)
    assert await harness.run_once(row, compiled) == "succeeded"
    assert path(row) == ["start", "wait", "hi"]
    done = step(row, "wait")
    assert (done.status, done.ended_at is not None, done.input) == ("succeeded", True, step(row, "wait").input)
    assert done.started_at == done.started_at.replace(microsecond=0)


async def test_a_failed_call_waits_without_a_worker_and_keeps_its_key() -> None:
    """Each attempt is counted, the waits grow, and the key stays the same."""
    harness = Harness()
    data = CALL["data"] | {"retry": {"maxAttempts": 3, "delayMs": 2000, "jitter": "none"}}
    answers = iter([503, 429, 200])
    harness.outbound.respond = lambda _: Response(next(answers))
    compiled = compiled_flow(chain(CALL | {"data": data}))
    row = harness.rows.add()
    waits = []
    while await harness.run_once(row, compiled) == "retrying":
        assert row.wake_at is not None
        waits.append((row.wake_at - harness.clock.now()).total_seconds())
        harness.clock.advance(waits[-1])
    assert (waits, row.status, step(row, "call").attempt) == ([2.0, 4.0], "succeeded", 3)
    assert len({call.headers["Idempotency-Key"] for call in harness.outbound.calls}) == 1
    assert len(row.steps) == 2


@pytest.mark.parametrize(
    ("on_error", "status", "visited"),
    [("fail", "failed", ["start", "call"]), ("continue", "succeeded", ["start", "call", "hi"])],
)
async def test_on_error_decides_what_follows_an_error(on_error: str, status: str, visited: list[str]) -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(404, b'{"why":"gone"}')
    row = await harness.run(chain(CALL | {"data": CALL["data"] | {"onError": on_error}}, HI))
    assert (row.status, path(row)) == (status, visited)
    error = step(row, "call").error
    assert error is not None
    assert (error.kind, error.detail) == ("http-status", {"status": 404})


async def test_an_error_branch_sees_the_error_and_the_response() -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(404, b'{"why":"gone"}')
    report = node("report", "message", text="{{ nodes.call.error.kind }}: {{ nodes.call.output.body.why }}")
    call = CALL | {"data": CALL["data"] | {"onError": "branch"}}
    row = await harness.run(flow(call, report, edges="start>call call.error>report"))
    [notification] = harness.rows.notifications.values()
    assert (row.status, notification.payload["text"]) == ("succeeded", "http-status: gone")


async def test_a_call_that_timed_out_is_retried() -> None:
    harness = Harness()
    tries = iter([OutboundTimeout("slow", sent=True), None])

    def answer(_: Call) -> Response:
        error = next(tries)
        if error:
            raise error
        return Response()

    harness.outbound.respond = answer
    row = await harness.run(chain(CALL | {"data": CALL["data"] | {"retry": {"maxAttempts": 2}}}))
    assert (row.status, step(row, "call").attempt) == ("succeeded", 2)


async def test_a_cancelled_execution_does_nothing_more() -> None:
    harness = Harness()
    compiled = compiled_flow(chain(node("wait", "delay", ms=1000), HI))
    row = harness.rows.add()
    await harness.run_once(row, compiled)
    row.cancel_requested = True
    harness.clock.advance(2)
    assert await harness.run_once(row, compiled) == "cancelled"
    assert (step(row, "wait").status, harness.rows.notifications) == ("cancelled", {})


async def test_an_unknown_start_is_permanent() -> None:
    harness = Harness()
    with pytest.raises(PermanentError, match="has no node elsewhere"):
        await harness.run_once(harness.rows.add(node_id="elsewhere"), compiled_flow(chain(HI)))


async def test_conversation_variables_outlive_the_execution() -> None:
    """The next execution of the same conversation reads them. Another conversation does not."""
    harness = Harness()
    count = node("count", "set-variable", assignments=[{"variable": "n", "value": "{{ vars.n | plus: 1 }}"}])
    definition = chain(count, variables=[{"name": "n", "type": "number", "default": 0, "scope": "conversation"}])
    assert step(await harness.run(definition), "count").output == {"n": 1}
    assert step(await harness.run(definition), "count").output == {"n": 2}
    assert step(await harness.run(definition, contact="other"), "count").output == {"n": 1}


async def test_only_outputs_that_a_template_reads_are_saved() -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=b'{"name":"Ana"}')
    reads = node("reads", "message", text="{{ nodes.call.output.body.name }}")
    compiled = compiled_flow(chain(CALL, CALL | {"id": "unread"}, node("wait", "delay", ms=1000), reads))
    row = harness.rows.add()
    await harness.run_once(row, compiled)
    assert row.state is not None
    assert set(decode(row.state).outputs) == {"call"}
    await harness.finish(row, compiled)
    assert [each.payload["text"] for each in harness.rows.notifications.values()] == ["Ana"]


async def test_secrets_are_sent_and_shown_in_no_trace() -> None:
    """The header is sent. Input, output, error and the execution's output do not contain it, in no encoding."""
    harness = Harness()
    harness.secrets.values["crm"] = "s3cr3t+value"
    harness.outbound.respond = lambda _: Response(body=b'{"echo":"s3cr3t+value","encoded":"s3cr3t%2Bvalue"}')
    call = node(
        "call",
        "api",
        method="POST",
        url="https://crm.example/?key={{ secrets.crm | url_encode }}",
        headers={"X-Key": "{{ secrets.crm }}"},
        body={"key": "{{ secrets.crm }}"},
    )
    row = await harness.run(chain(call, node("end", "end", output="{{ nodes.call.output.body.echo }}"), variables=[]))
    assert harness.outbound.calls[0].headers["X-Key"] == "s3cr3t+value"
    assert harness.outbound.calls[0].json == {"key": "s3cr3t+value"}
    shown = repr([row.steps, row.output])
    assert "s3cr3t" not in shown
    assert "[redacted]" in shown
