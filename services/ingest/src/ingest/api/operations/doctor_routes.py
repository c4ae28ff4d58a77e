"""The routes of the doctor: what is wrong, why one object does not continue, and repairs."""

import functools
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from filas.doctor import why
from filas.doctor.examination import examine
from filas.doctor.sentences import finding, plain, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Diagnosis, Examination, Subject
from ingest.api.operations.repairs import Repair, repair_all
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route, Word
from ingest.receive.untrusted_proxies import read_untrusted_proxy

MAX_NAMED: Final = 10
"""The most definitions that one finding names."""


class DoctorQuery(Query, frozen=True, kw_only=True):
    """Without a parameter: everything is examined. With one: the answer states why this object does not continue.
    `id` is any of these ids."""

    execution: UUID | None = None
    event: UUID | None = None
    notification: UUID | None = None
    conversation: UUID | None = None
    job: Word | None = None
    channel: Word | None = None
    id: Word | None = None


class RepairBody(Body, frozen=True, kw_only=True):
    """What to repair."""

    codes: Annotated[
        list[Word] | None,
        msgspec.Meta(description="Only findings with these codes; by default all that are repairable."),
    ] = None
    dry_run: Annotated[bool, msgspec.Meta(description="Only report what would be repaired.")] = False


class RepairView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was repaired."""

    dry_run: bool
    repairs: list[Repair]


async def doctor(call: Call[None, DoctorQuery]) -> Answer:
    """Examines everything, or answers why one object does not continue. An unavailable store is a finding."""
    query, stores = call.query, doctor_stores(call.context)
    given = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not None}
    if len(given) > 1:
        raise invalid_field(sorted(given)[1], "give one object at a time")
    if not given:
        return Answer(await examination(call.context))
    ((kind, value),) = given.items()
    asks: dict[str, Any] = {
        "execution": why.why_execution,
        "event": why.why_event,
        "notification": why.why_notification,
        "conversation": why.why_conversation,
        "job": why.why_job_id,
        "channel": why.why_channel,
        "id": why.why_any,
    }
    answer: Diagnosis | None = await asks[kind](stores, value)
    if answer is None:
        raise not_found("object" if kind == "id" else kind, value)
    return Answer(answer)


async def examination(context: ApiContext) -> Examination:
    """Examines everything, with what only this process knows."""
    more = {
        "definitions": lambda: _definitions(context),
        "secrets": lambda: _secrets(context),
        "proxies": lambda: _proxies(context),
    }
    return await examine(doctor_stores(context), more)


def doctor_stores(context: ApiContext) -> DoctorStores:
    """The stores that the doctor reads."""
    return DoctorStores(context.redis, context.database, context.read_database, context.doctor)


async def repair(call: Call[RepairBody, Query]) -> Answer:
    """Repairs what is safe to repair, and reports what was done."""
    found = await examination(call.context)
    chosen = [
        one for one in found.findings if one.repairable and (call.body.codes is None or one.code in call.body.codes)
    ]
    repairs = await repair_all(call.context, chosen, dry_run=call.body.dry_run)
    return Answer(RepairView(dry_run=call.body.dry_run, repairs=repairs))


async def _definitions(context: ApiContext) -> Checked:
    if context.webhook_cache.is_loaded:
        return Checked("loaded")
    message = sentence("doctor.webhooks-not-loaded")
    remedy = sentence("doctor.webhooks-not-loaded-remedy")
    subject = Subject(kind="process", id="ingest-admin")
    return Checked("not loaded yet", [finding("webhooks-not-loaded", "warning", subject, message, remedy)])


async def _secrets(context: ApiContext) -> Checked:
    """A definition stored before SECRET_ENV_ALLOW existed, or under another one, may name any variable."""
    checked = Checked("every named environment variable is allowed")
    refused = [
        f"{one.kind} {one.id}: {refusal}"
        for one in await context.secret_references.all()
        if (refusal := context.secret_box.variables.refusal(one.variable)) is not None
    ]
    if refused:
        more = [f"and {len(refused) - MAX_NAMED} more"] if len(refused) > MAX_NAMED else []
        checked.detail = "; ".join([*refused[:MAX_NAMED], *more])
        checked.findings.append(
            finding(
                "secret-variable-refused",
                "warning",
                Subject(kind="process"),
                sentence("doctor.secret-variable-refused", definitions=checked.detail),
                sentence("doctor.secret-variable-refused-remedy"),
                evidence={"definitions": refused[:MAX_NAMED]},
            )
        )
    if context.doctor.weak_secrets:
        named = functools.reduce(
            lambda first, second: sentence("doctor.weak-secrets-two", first=first, second=second),
            map(plain, context.doctor.weak_secrets),
        )
        message, remedy = sentence("doctor.weak-secret", named=named), sentence("doctor.weak-secret-remedy")
        checked.findings.append(finding("weak-secret", "warning", Subject(kind="process"), message, remedy))
    return checked


async def _proxies(context: ApiContext) -> Checked:
    proxy = await read_untrusted_proxy(context.redis)
    if proxy is None:
        return Checked("no requests through a proxy that is not in TRUSTED_PROXIES")
    found = finding(
        "proxy-not-trusted",
        "warning",
        Subject(kind="process", id="ingest"),
        sentence("doctor.proxy-not-trusted", address=proxy),
        sentence("doctor.proxy-not-trusted-remedy"),
        evidence={"address": proxy},
    )
    return Checked(f"requests come through {proxy}", [found])


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/doctor",
        handler=doctor,
        role="viewer",
        summary="What is wrong and what to do; with a parameter: why one object does not continue.",
        answer=Examination | Diagnosis,
        query=DoctorQuery,
        problems=(404,),
    ),
    Route(
        method="POST",
        path="/doctor/repair",
        handler=repair,
        role="operator",
        summary="Repair what is safe to repair.",
        answer=RepairView,
        query=Query,
        body=RepairBody,
    ),
)
