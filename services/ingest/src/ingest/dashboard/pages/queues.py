"""The pages of queues and jobs, and the commands for them."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from filas.contract import policies
from filas.contract.policies import QueuePolicy
from filas.models.findings import Finding
from ingest.api.routing.problems import not_found
from ingest.dashboard.graph.shown_text import shortened
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.page_types import Html, Live, PageCall, PageRoute, Redirect
from ingest.dashboard.pages import queue_clean
from ingest.dashboard.pipeline.content import pipeline_of
from ingest.dashboard.pipeline.finding_places import anchor_of, cause_address

LIST: Final = "/dashboard/queues"
STATES: Final = ("waiting", "active", "delayed", "failed", "completed")

_LINKS: Final = (
    ("eventId", "events", "/dashboard/events/"),
    ("executionId", "executions", "/dashboard/executions/"),
    ("conversationId", "conversations", "/dashboard/conversations/"),
    ("notificationId", "notification", "/dashboard/doctor?notification="),
)


async def show_queues(call: PageCall) -> Html:
    """Shows every queue with its jobs and its workers, from the snapshot."""
    snapshot = await call.snapshot()
    return call.render(
        "queues/list.html",
        snapshot=snapshot,
        pipeline=pipeline_of(snapshot),
        findings=_findings(snapshot, None),
        ages=queue_clean.AGES,
        cleaned=queue_clean.STATES,
        **_functions(),
    )


async def show_queue(call: PageCall) -> Html:
    """Shows the jobs of one queue in one state."""
    policy = _policy(call)
    state = call.query.get("state") or "waiting"
    snapshot = await call.snapshot()
    jobs = await call.api.part(
        "listJobs", path={"queue": policy.short}, query={"state": state, **call.filters("cursor")}
    )
    station = next(one for one in pipeline_of(snapshot).stations if one.queue == policy.short)
    return call.render(
        "queues/queue.html",
        snapshot=snapshot,
        station=station,
        policy=policy,
        state=state,
        states=STATES,
        jobs=jobs,
        findings=_findings(snapshot, policy),
        **_functions(),
    )


async def show_job(call: PageCall) -> Html:
    """Shows one job with its message, its attempts and its lease, and why it waits."""
    job_id = call.path["id"]
    job = (await call.api.call("getJob", path={"id": job_id})).data
    why = await call.api.part("doctor", query={"job": job_id[:200]})
    policy = next((one for one in policies.QUEUES if job_id.startswith(one.job_id(""))), None)
    return call.render("queues/job.html", job=job, why=why, policy=policy, links=_links(job.data), **_functions())


async def pause(call: PageCall) -> Redirect:
    """Pauses a queue."""
    return await _change(call, "pauseQueue", "queues.paused-done")


async def resume(call: PageCall) -> Redirect:
    """Resumes a queue."""
    return await _change(call, "resumeQueue", "queues.resumed-done")


async def retry(call: PageCall) -> Redirect:
    """Makes the next attempt of a job due now."""
    return await _command(call, "retryJob", "queues.retried")


async def promote(call: PageCall) -> Redirect:
    """Makes a delayed job due now."""
    return await _command(call, "promoteJob", "queues.promoted")


async def cancel(call: PageCall) -> Redirect:
    """Ends a job."""
    return await _command(call, "cancelJob", "queues.cancelled")


async def _change(call: PageCall, operation: str, message_id: str) -> Redirect:
    policy = _policy(call)
    await call.api.call(operation, path={"queue": policy.short})
    call.figures.expire("pauses", "findings")
    return call.done(message_id, queue=policy.name)


async def _command(call: PageCall, operation: str, message_id: str) -> Redirect:
    result = (await call.api.call(operation, path={"id": call.path["id"]})).data
    call.figures.expire("queues")
    return call.done("queues.being-cancelled" if result.outcome == "running" else message_id)


def _policy(call: PageCall) -> QueuePolicy:
    policy = policies.find(call.path["queue"])
    if policy is None:
        raise not_found("queue", call.path["queue"])
    return policy


def _findings(snapshot: Snapshot, policy: QueuePolicy | None) -> list[Finding]:
    """The findings about queues, or about one."""
    found = [] if snapshot.findings.value is None else snapshot.findings.value.findings
    return [one for one in found if one.subject.kind == "queue" and (policy is None or one.subject.id == policy.short)]


def _links(data: Any) -> list[tuple[str, str, str]]:
    """The objects that a job message names: word, id, address."""
    if not isinstance(data, Mapping):
        return []
    found = ((word, str(data[name]), address) for name, word, address in _LINKS if data.get(name))
    return [(word, value, address + quote(value, safe="")) for word, value, address in found]


def _job_address(job_id: str) -> str:
    return f"/dashboard/jobs/{quote(job_id, safe='')}"


def _functions() -> dict[str, Any]:
    return {
        "job_address": _job_address,
        "shortened": shortened,
        "anchor_of": anchor_of,
        "cause_address": cause_address,
    }


ROUTES: Final = (
    PageRoute("GET", "/queues", show_queues, Live(every_s=1.0, reads_stores=False, has_moments=True)),
    PageRoute("POST", "/queues/clean", queue_clean.clean),
    PageRoute("GET", "/queues/{queue}", show_queue, Live(every_s=2.0)),
    PageRoute("POST", "/queues/{queue}/pause", pause),
    PageRoute("POST", "/queues/{queue}/resume", resume),
    PageRoute("GET", "/jobs/{id}", show_job, Live(every_s=2.0)),
    PageRoute("POST", "/jobs/{id}/retry", retry),
    PageRoute("POST", "/jobs/{id}/promote", promote),
    PageRoute("POST", "/jobs/{id}/cancel", cancel),
)
