"""The list of channels, and the page of one: its state, its messages, its form and its credentials."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from filas.contract.channel_circuits import CircuitStatus
from ingest.api.definitions.channel_fields import SHOWN_FIELDS, TYPES
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Html, PageCall, Part
from ingest.dashboard.pages.channels.channel_form import TEST, channel_form, credentials_form
from ingest.dashboard.pages.channels.channel_presets import BY_NAME, PRESETS, preset_of

LIST: Final = "/dashboard/channels"
TABS: Final = ("messages", "definition", "credentials")
SHOWN: Final = 10
DAY: Final = timedelta(days=1)


async def list_channels(call: PageCall) -> Html:
    """Shows the channels with their states and messages."""
    channels = await call.api.part("listChannels", query=call.filters("cursor"))
    return call.render("channels/list.html", channels=channels, state_of=state_of, presets=PRESETS)


def state_of(circuit: CircuitStatus | None) -> str:
    """How the state of a circuit is shown. None: it is not known, because Redis does not answer."""
    if circuit is None:
        return "unknown"
    if circuit.state == "closed":
        return "busy" if circuit.failures else "ok"
    return "failing" if circuit.reason == "failing" else "paused"


async def new_channel(call: PageCall) -> Html:
    """Shows the providers, or the form with the presets of one."""
    preset = BY_NAME.get(call.query.get("type", ""))
    if preset is None:
        return call.render("channels/providers.html", presets=PRESETS)
    form = channel_form(preset.kind, is_new=True)
    return new_page(call, form.show(call.reader, {"id": preset.channel_id, **preset.definition}), preset.name)


def new_page(call: PageCall, form: FormView, name: str, *, status: int = 200) -> Html:
    """The form of a new channel, with what has to be done at its provider."""
    preset = BY_NAME[name]
    return call.render("channels/new.html", status=status, form=form, preset=preset, steps=preset.steps(call.reader))


async def channel_of(call: PageCall) -> dict[str, Any]:
    """The channel of the path, as the API shows it. Raises ApiProblem."""
    channel: dict[str, Any] = (await call.api.call("getChannel", path={"id": call.path["id"]})).data
    return channel


async def show_channel(call: PageCall) -> Html:
    """Shows a channel: its messages, its form, or its credentials."""
    channel = await channel_of(call)
    tab = call.query.get("show") if call.query.get("show") in TABS else TABS[0]
    return await channel_page(call, channel, str(tab))


async def channel_page(
    call: PageCall,
    channel: dict[str, Any],
    tab: str,
    form: FormView | None = None,
    *,
    status: int = 200,
    in_use: ApiProblem | None = None,
) -> Html:
    """The page of a channel with one of its tabs. `in_use` is why it was not deleted."""
    kind = str(channel["type"])
    named = {"channelId": channel["id"], "limit": str(SHOWN)}
    newest = waiting = retrying = why = Part()
    if tab == "messages":
        newest, waiting, retrying, why = await asyncio.gather(
            call.api.part("listNotifications", query=named),
            call.api.part("listNotifications", query={**named, "status": "queued"}),
            call.api.part("listNotifications", query={**named, "status": "retrying"}),
            call.api.part("doctor", query={"channel": channel["id"]}),
        )
    if form is None:
        form = _form(call, channel, tab)
    preset = preset_of(call.query.get("type"), kind)
    return call.render(
        "channels/channel.html",
        status=status,
        channel=channel,
        tab=tab,
        form=form,
        in_use=in_use,
        references=[] if in_use is None else in_use.extra.get("references", []),
        state=state_of(channel["circuit"]),
        newest=newest,
        waiting=[*(retrying.data or ()), *(waiting.data or ())] if waiting.ok and retrying.ok else None,
        why=why,
        preset=preset,
        steps=preset.steps(call.reader) if preset is not None else [],
        has_credentials=credentials_form(kind) is not None,
        recipient=call.reader.text(f"channel-recipients.{kind}") if kind in TYPES else "",
        as_body=as_body(channel),
        since=(datetime.now(UTC) - DAY).isoformat(),
        live=call.shared["live"] if tab == "messages" else None,
    )


def _form(call: PageCall, channel: dict[str, Any], tab: str) -> FormView | None:
    kind = str(channel["type"])
    if kind not in TYPES:
        return None
    if tab == "messages":
        return TEST.show(call.reader, {"text": call.reader.text("channels.test-text")})
    described = channel_form(kind) if tab == "definition" else credentials_form(kind)
    return None if described is None else described.show(call.reader, channel)


def as_body(channel: dict[str, Any]) -> dict[str, Any]:
    """The definition as a PUT takes it, with its secrets masked."""
    fields: dict[str, Any] = msgspec.to_builtins(channel)
    return {
        name: value
        for name, value in fields.items()
        if value is not None and (name == "type" or name not in SHOWN_FIELDS)
    }
