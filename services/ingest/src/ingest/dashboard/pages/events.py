"""The pages of events: search, the received request, what followed from it, replay as received or edited."""

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from filas.models.events import Event
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Download, Html, Live, PageAnswer, PageCall, PageRoute, Part, Redirect
from ingest.dashboard.presentation.figures import size
from ingest.dashboard.presentation.timeline_rows import timeline_rows

LIST: Final = "/dashboard/events"
FILTERS: Final = (
    "text", "contact", "webhookId", "status", "reason", "since", "until", "conversationId", "replayOf",
)  # fmt: skip
BULK_FILTERS: Final = ("text", "contact", "webhookId", "status", "reason", "since", "until")
BULK_STATUSES: Final = ("failed", "ignored", "processed")
STATUSES: Final = ("received", "processed", "ignored", "failed")

PREVIEW: Final = 160
COUNTED: Final = 100
ROWS: Final = 50
EXECUTIONS: Final = 20
REPLAYS: Final = 10
TIMELINE: Final = 120
EDITED_CHARACTERS: Final = 30_000
"""The longest body that the page offers to edit. The command line edits any."""


async def list_events(call: PageCall) -> Html:
    """Shows the events that match, newest first."""
    wanted = call.filters(*FILTERS)
    events = await call.api.part("listEvents", query={"limit": ROWS, **wanted, **call.filters("cursor")})
    webhooks = await call.api.part("listWebhooks", query={"limit": "200"})
    is_search, others = bool({"text", "contact"} & wanted.keys()), None
    dropped = next((name for name in ("status", "reason", "text", "contact", "webhookId") if name in wanted), None)
    if events.ok and not events.data and not events.next_cursor and dropped is not None:
        rest = {name: value for name, value in wanted.items() if name != dropped}
        others = await call.api.part("listEvents", query={**rest, "limit": str(COUNTED)})
    return call.render(
        "events/list.html",
        events=events,
        webhooks=[(one.id, one.id) for one in webhooks.data or ()],
        statuses=[(name, call.reader.text(f"states.{name}")) for name in STATUSES],
        others=others,
        is_search=is_search,
        rows=ROWS,
        index=await call.api.part("showSearchState") if is_search else None,
        dropped=dropped,
        counted=COUNTED,
        preview_of=preview_of,
        is_filtered=bool(wanted),
        bulk_filters=BULK_FILTERS,
        can_replay_all=wanted.get("status") in BULK_STATUSES and set(wanted) <= set(BULK_FILTERS),
        example=_example(webhooks),
    )


def preview_of(event: Event) -> str:
    """The beginning of an event's body in one line; empty for a body that is no text."""
    return " ".join(event.body[: PREVIEW * 2].split())[:PREVIEW] if event.body_encoding == "utf-8" else ""


def _example(webhooks: Part) -> str:
    """A command that sends an event to the first webhook."""
    path = webhooks.data[0].path if webhooks.data else "demo"
    body = '{"from":"+5511999990000","text":"oi"}'
    return f"curl -d '{body}' -H 'Content-Type: application/json' http://127.0.0.1:8080/webhooks/{quote(path)}"


async def show_event(call: PageCall) -> Html:
    """Shows an event: the request, why it is where it is, its executions and its timeline."""
    event = await _event(call)
    path = {"id": str(event.id)}
    timeline = await call.api.part("getEventTimeline", path=path)
    rows = timeline_rows(call.reader, timeline.data.entries, datetime.now(UTC)) if timeline.ok else []
    return call.render(
        "events/event.html",
        event=event,
        shown_size=size(call.reader, len(_raw(event))),
        cause=await call.api.part("doctor", query={"event": str(event.id)}),
        executions=await call.api.part("listExecutions", query={"eventId": str(event.id), "limit": str(EXECUTIONS)}),
        replays=await call.api.part("listEvents", query={"replayOf": str(event.id), "limit": str(REPLAYS)}),
        original=await _original(call, event),
        decoded=await call.api.part("getDecodedBody", path=path),
        timeline=timeline,
        rows=rows[:TIMELINE],
        is_cut=len(rows) > TIMELINE,
    )


async def _event(call: PageCall) -> Event:
    event: Event = (await call.api.call("getEvent", path={"id": call.path["id"]})).data
    return event


async def _original(call: PageCall, event: Event) -> Part | None:
    """The event whose request this one repeats. It may be deleted."""
    if event.replay_of is None:
        return None
    return await call.api.part("getEvent", path={"id": str(event.replay_of)})


def _raw(event: Event) -> bytes:
    return event.body.encode() if event.body_encoding == "utf-8" else base64.b64decode(event.body)


async def download_body(call: PageCall) -> Download:
    """The body as it was received, byte for byte."""
    event = await _event(call)
    return Download(_raw(event), f"event-{event.id}.body")


async def edit_event(call: PageCall) -> Html:
    """Shows the body in a form, beside the original."""
    event = await _event(call)
    decoded = await call.api.part("getDecodedBody", path={"id": str(event.id)})
    return _edit_page(call, event, decoded)


def _edit_page(
    call: PageCall, event: Event, decoded: Part, edited: str | None = None, problem: ApiProblem | None = None
) -> Html:
    text = _editable(event, decoded)
    return call.render(
        "events/edit.html",
        status=200 if problem is None else problem.status,
        event=event,
        text=text,
        edited=edited,
        problem=problem,
        is_long=text is not None and len(text) > EDITED_CHARACTERS,
        request_id=str(uuid4()),
    )


def _editable(event: Event, decoded: Part) -> str | None:
    """The text that an edited body starts from: without a content coding. None for a body that is no text."""
    if event.body_encoding == "utf-8":
        return event.body
    if decoded.ok and decoded.data.kind in ("json", "text"):
        return str(decoded.data.text)
    return None


async def replay_event(call: PageCall) -> PageAnswer:
    """Replays the event as it was received, or a new event with the edited body. A wrong one is shown again."""
    event_id, edited = call.path["id"], call.form.get("body")
    if edited is None:
        return _replayed(call, (await call.api.call("replayEvent", path={"id": event_id}, body={})).data)
    event = await _event(call)
    decoded = await call.api.part("getDecodedBody", path={"id": event_id})
    # A browser sends line breaks as CR LF.
    text, start = edited.replace("\r\n", "\n"), _editable(event, decoded)
    if start is not None and text == start.replace("\r\n", "\n"):
        return _replayed(call, (await call.api.call("replayEvent", path={"id": event_id}, body={})).data)
    body: dict[str, Any] = {"bodyText": text}
    if call.form.get("requestId"):
        body["requestId"] = call.form["requestId"]
    try:
        answer = await call.api.call("replayEvent", path={"id": event_id}, body=body)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return _edit_page(call, event, decoded, edited, problem)
    return _replayed(call, answer.data)


def _replayed(call: PageCall, data: Any) -> Redirect:
    message = "events.replayed" if data.replay_of is None else "events.replayed-edited"
    return call.done(message, f"{LIST}/{data.id}")


async def check_replay(call: PageCall) -> Html:
    """Shows what a replay of all events that match the query string would do. It changes nothing."""
    order, result, problem = _order(call.filters(*BULK_FILTERS), call.query), None, None
    try:
        result = (await call.api.call("replayEvents", body={**order, "dryRun": True})).data
    except ApiProblem as error:
        if error.status == 403:
            raise
        problem = error
    return call.render(
        "events/bulk_replay.html",
        order=order,
        run_order={"kind": "events", **order},
        result=result,
        problem=problem,
        request_id=str(uuid4()),
        statuses=[(name, call.reader.text(f"states.{name}")) for name in BULK_STATUSES],
    )


async def replay_all(call: PageCall) -> PageAnswer:
    """Starts the replay of what was checked, and shows its progress."""
    order = _order({name: call.form[name] for name in BULK_FILTERS if call.form.get(name)}, call.form)
    if call.form.get("requestId"):
        order["requestId"] = call.form["requestId"]
    run = (await call.api.call("startReplay", body={"kind": "events", **order})).data
    return call.done("events.bulk-started", f"/dashboard/replays/{run.id}")


def _order(filters: dict[str, str], given: Mapping[str, str]) -> dict[str, Any]:
    """The filters, the limit and the rate. What is no number is passed on: the API explains what is wrong."""
    order: dict[str, Any] = {"status": "failed", **filters}
    if given.get("again"):
        order["again"] = True
    for name, kind in (("limit", int), ("rate", float)):
        written = given.get(name)
        if not written:
            continue
        try:
            order[name] = kind(written)
        except ValueError:
            order[name] = written
        if isinstance(order[name], float) and not math.isfinite(order[name]):
            order[name] = written
    return order


ROUTES = (
    PageRoute("GET", "/events", list_events, Live(every_s=5.0)),
    PageRoute("GET", "/events/replay", check_replay),
    PageRoute("POST", "/events/replay", replay_all),
    PageRoute("GET", "/events/{id}", show_event, Live()),
    PageRoute("GET", "/events/{id}/body", download_body),
    PageRoute("GET", "/events/{id}/edit", edit_event),
    PageRoute("POST", "/events/{id}/replay", replay_event),
)
