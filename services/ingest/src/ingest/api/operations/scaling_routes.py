"""The routes of scaling: how many replicas of each worker are needed, and why. KEDA reads them too."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from filas.messages import catalogue
from ingest.api.routing.problems import invalid_field, not_found
from ingest.api.routing.route_types import Answer, Call, Query, Route
from ingest.scaling.queue_samples import Figures
from ingest.scaling.worker_advice import SCALE_DOWN_WINDOW_S, Advice, Bounds, Reason, advise

WORKERS: Final[dict[str, QueuePolicy]] = {
    "ingest-worker": WEBHOOKS,
    "flow-runner": FLOWS,
    "notifier": NOTIFICATIONS,
}
"""The worker processes by their names in the deployments, each with its queue."""

Replicas = Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Overrides the setting.")]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86_400, description="Overrides `SCALING_TARGET_AGE_S`.")]


class ScalingQuery(Query, frozen=True, kw_only=True):
    """Replaces the bounds of the settings for one answer."""

    min: Replicas | None = None
    max: Replicas | None = None
    target_age_s: Seconds | None = None


class ScalingReason(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why the answer is what it is: a code for programs, and a sentence in English and in Brazilian Portuguese."""

    code: str
    en: str
    pt: str


class ScalingFigures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of the last minute from which the answer is computed. Rates are jobs per second, null while unknown.

    `busy` is the average share of the workers' slots that run a job; 1 is all of them. `busyNow` is the present share.
    """

    waiting: int
    oldest_age_s: float
    busy: float
    busy_now: float
    arrival_rate: float | None
    drain_rate: float | None
    drain_rate_per_worker: float | None
    paused: bool


class WorkerScaling(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind of worker.

    `replicas` is the answer, from `min` to `max`. `current` is the number of workers that reported within the last six
    seconds. `needed` is the answer before rounding, null if it is unknown.
    """

    worker: str
    queue: str
    replicas: int
    current: int
    needed: float | None
    min: int
    max: int
    target_age_s: float
    figures: ScalingFigures
    reasons: list[ScalingReason]


class ScalingView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All kinds of workers.

    An autoscaler that follows the answers grows at once, and shrinks only to the largest answer of the last
    `scaleDownWindowS` seconds.
    """

    workers: list[WorkerScaling]
    scale_down_window_s: int
    timestamp: str


async def show_scaling(call: Call[None, ScalingQuery]) -> Answer:
    """Returns the answer for every kind of worker."""
    bounds = _bounds(call)
    paused = await call.context.history.pauses.all()
    workers = [await _scaling(call, worker, bounds, paused) for worker in WORKERS]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Answer(ScalingView(workers=workers, scale_down_window_s=SCALE_DOWN_WINDOW_S, timestamp=now))


async def show_worker_scaling(call: Call[None, ScalingQuery]) -> Answer:
    """Returns the answer for one kind of worker."""
    worker = call.path["worker"]
    if worker not in WORKERS:
        raise not_found("worker", worker)
    return Answer(await _scaling(call, worker, _bounds(call), await call.context.history.pauses.all()))


def _bounds(call: Call[None, ScalingQuery]) -> Bounds:
    query, settings = call.query, call.context.scaling_bounds
    least = settings.least if query.min is None else query.min
    most = settings.most if query.max is None else query.max
    if least > most:
        field = "max" if query.min is None else "min"
        raise invalid_field(field, f"min {least} is more than max {most}")
    target = settings.target_age_s if query.target_age_s is None else query.target_age_s
    return Bounds(least, most, target)


async def _scaling(call: Call[None, ScalingQuery], worker: str, bounds: Bounds, paused: set[str]) -> WorkerScaling:
    policy = WORKERS[worker]
    figures = await call.context.watch.figures(policy, paused=policy.name in paused)
    return _view(worker, policy, figures, bounds, advise(figures, bounds))


def _view(worker: str, policy: QueuePolicy, figures: Figures, bounds: Bounds, advice: Advice) -> WorkerScaling:
    per_worker = None
    if figures.drain_rate is not None and figures.workers:
        per_worker = figures.drain_rate / figures.workers
    return WorkerScaling(
        worker=worker,
        queue=policy.name,
        replicas=advice.replicas,
        current=figures.workers,
        needed=_short(advice.needed),
        min=bounds.least,
        max=bounds.most,
        target_age_s=bounds.target_age_s,
        figures=ScalingFigures(
            waiting=figures.waiting,
            oldest_age_s=figures.oldest_age_s,
            busy=round(figures.busy, 3),
            busy_now=round(figures.busy_now, 3),
            arrival_rate=_short(figures.arrival_rate),
            drain_rate=_short(figures.drain_rate),
            drain_rate_per_worker=_short(per_worker),
            paused=figures.paused,
        ),
        reasons=[_in_words(reason) for reason in advice.reasons],
    )


def _in_words(reason: Reason) -> ScalingReason:
    message = f"scaling.{reason.code}"
    return ScalingReason(
        code=reason.code,
        en=catalogue.text("en", message, **reason.parameters),
        pt=catalogue.text("pt-BR", message, **reason.parameters),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


ROUTES: tuple[Route[None, ScalingQuery], ...] = (
    Route(
        method="GET",
        path="/scaling",
        handler=show_scaling,
        role="viewer",
        summary="How many replicas of each worker are needed, and why.",
        answer=ScalingView,
        query=ScalingQuery,
    ),
    Route(
        method="GET",
        path="/scaling/{worker}",
        handler=show_worker_scaling,
        role="viewer",
        summary="How many replicas of one worker are needed, and why.",
        answer=WorkerScaling,
        query=ScalingQuery,
    ),
)
