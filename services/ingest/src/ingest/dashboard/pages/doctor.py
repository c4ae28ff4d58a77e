"""The page of the doctor: what is wrong, why one object waits, and repairs."""

from typing import Any, Final

from ingest.dashboard.graph.shown_text import shortened
from ingest.dashboard.page_types import Html, Live, PageCall, PageRoute, Redirect
from ingest.dashboard.pipeline.finding_places import anchor_of, cause_address

OBJECTS: Final = ("id", "channel", "notification", "execution", "event", "conversation", "job")
"""The parameters that name one object. `id` is any id."""


async def show_doctor(call: PageCall) -> Html:
    """Shows the last examination of this process, and why the asked object does not continue."""
    asked = call.filters(*OBJECTS)
    name = next(iter(asked), None)
    why = None
    if name is not None:
        why = await call.api.part("doctor", query={name: asked[name].strip()})
    snapshot = await call.snapshot()
    return call.render(
        "doctor/page.html",
        snapshot=snapshot,
        examined=snapshot.findings.value,
        asked="" if name is None else asked[name],
        why=why,
        shortened=shortened,
        anchor_of=anchor_of,
        cause_address=cause_address,
    )


async def repair(call: PageCall) -> Redirect:
    """Repairs the findings with one code, or all that can be repaired."""
    code = call.form.get("code")
    body: dict[str, Any] = {"codes": [code]} if code else {}
    done = (await call.api.call("repair", body=body)).data
    call.figures.expire("findings", "queues")
    if not done.repairs:
        return call.done("doctor.nothing-to-repair")
    return call.done("doctor.repaired", count=sum(one.count for one in done.repairs))


ROUTES: Final = (
    PageRoute("GET", "/doctor", show_doctor, Live(every_s=2.0, has_moments=True)),
    PageRoute("POST", "/doctor/repair", repair),
)
