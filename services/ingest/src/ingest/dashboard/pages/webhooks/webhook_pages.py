"""The list of webhooks, and the page of one: its address, its last events and refusals, its form, and its secrets."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec

from ingest.api.definitions.webhook_routes import ShownWebhook
from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Html, PageCall, Part
from ingest.dashboard.pages.webhooks.provider_presets import BY_NAME, PRESETS, invented_secret, preset_of
from ingest.dashboard.pages.webhooks.sample_requests import sample
from ingest.dashboard.pages.webhooks.signed_command import VARIABLE, signed_command
from ingest.dashboard.pages.webhooks.webhook_form import webhook_form
from ingest.dashboard.presentation.payload_text import document_text

LIST: Final = "/dashboard/webhooks"
TABS: Final = ("requests", "definition", "secrets")
DAY: Final = timedelta(days=1)
SHOWN: Final = 10
MOST_NAMES: Final = 500

TEST_HEADER: Final = "X-Filas-Test"
"""Marks an event that the dashboard has sent. Its value is who sent it."""


async def list_webhooks(call: PageCall) -> Html:
    """Shows the webhooks with their events and refusals of a day."""
    webhooks = await call.api.part("listWebhooks", query=call.filters("cursor"))
    since = (datetime.now(UTC) - DAY).isoformat()
    received = await _counts(call, "received", since)
    refused = await _counts(call, "refusals", since)
    return call.render(
        "webhooks/list.html", webhooks=webhooks, received=received, refused=refused, presets=PRESETS,
        word_of_auth=auth_word(call),
    )  # fmt: skip


async def _counts(call: PageCall, figure: str, since: str) -> Mapping[str, int] | None:
    """The figure of each webhook since a moment. None if it cannot be read, or is not built yet."""
    query = {"since": since, "limit": str(MOST_NAMES)}
    groups = await call.api.part("getFigureGroups", path={"figure": figure}, query=query)
    is_known = groups.ok and groups.data.built_until is not None
    return {one.subject: one.count for one in groups.data.groups} if is_known else None


def auth_word(call: PageCall) -> Any:
    """A function that names an authentication in the reader's language."""

    def word(kind: str) -> str:
        text_id = f"webhook-auth.{kind}"
        return call.reader.text(text_id) if call.reader.has_text(text_id) else kind

    return word


async def choices_of(call: PageCall) -> tuple[dict[str, str], tuple[str, ...]]:
    """The flows by their ids, and the ids of the channels, to choose from. Empty while they cannot be read."""
    flows = await call.api.part("listFlows", query={"limit": str(MOST_NAMES)})
    channels = await call.api.part("listChannels", query={"limit": str(MOST_NAMES)})
    names = {one.id: one.id if one.name == one.id else f"{one.name} ({one.id})" for one in flows.data or ()}
    return names, tuple(one["id"] for one in channels.data or ())


async def new_webhook(call: PageCall) -> Html:
    """Shows the senders, or the form with the presets of one."""
    preset = BY_NAME.get(call.query.get("provider", ""))
    if preset is None:
        return call.render("webhooks/providers.html", presets=PRESETS)
    flows, channels = await choices_of(call)
    form = webhook_form(preset.auth_type, flows=flows, channels=channels, is_new=True)
    definition = dict(preset.definition)
    if len(flows) == 1:
        definition["flowId"] = next(iter(flows))
    return new_page(call, form.show(call.reader, definition), preset.name)


def new_page(call: PageCall, form: FormView, provider: str, *, status: int = 200) -> Html:
    """The form of a new webhook, with what has to be done at its sender."""
    preset = BY_NAME.get(provider) or preset_of(None, {"type": form.text("auth.type")})
    base = call.api.context.public_url.rstrip("/")
    webhook_id = form.text("path") or form.text("id") or "ID"
    url = f"{base}/webhooks/{webhook_id}"
    return call.render(
        "webhooks/new.html",
        status=status,
        form=form,
        preset=preset,
        steps=preset.steps(call.reader, url=url, webhook_id=webhook_id),
        url=url,
        is_public=is_public(base),
        invented=invented_secret() if preset.invents else "",
        has_flows=any(one.path == "flowId" and getattr(one, "options", ()) for one in form.form.fields),
    )


def is_public(url: str) -> bool:
    """Whether others could call an address: it is not one of this machine."""
    host = url.partition("://")[2].partition("/")[0].rpartition(":")[0] or url.partition("://")[2].partition("/")[0]
    return host not in ("localhost", "127.0.0.1", "[::1]", "::1")


async def show_webhook(call: PageCall) -> Html:
    """Shows a webhook: what it received, its form, or its secrets."""
    webhook: ShownWebhook = (await call.api.call("getWebhook", path=call.path)).data
    tab = call.query.get("show") if call.query.get("show") in TABS else TABS[0]
    form = None
    if tab == "definition":
        flows, channels = await choices_of(call)
        kind = str(webhook.auth.get("type", "none"))
        form = webhook_form(kind, flows=flows, channels=channels).show(call.reader, webhook)
    return await webhook_page(call, webhook, str(tab), form)


async def webhook_page(
    call: PageCall,
    webhook: ShownWebhook,
    tab: str,
    form: FormView | None = None,
    *,
    status: int = 200,
    test: str | None = None,
    problem: str = "",
) -> Html:
    """The page of a webhook with one of its tabs. `test` is the typed body of a test event, `problem` what is wrong."""
    preset = preset_of(call.query.get("provider"), webhook.auth)
    requests = {"webhookId": webhook.id, "limit": str(SHOWN)}
    events, refusals, flow = Part(), Part(), Part()
    if tab == "requests":
        events, refusals, flow = await asyncio.gather(
            call.api.part("listEvents", query=requests),
            call.api.part("listRefusals", query=requests),
            call.api.part("getFlow", path={"id": webhook.flow_id}),
        )
    return call.render(
        "webhooks/webhook.html",
        status=status,
        webhook=webhook,
        tab=tab,
        tabs=TABS,
        form=form,
        preset=preset,
        presets=[one for one in PRESETS if one.auth_type == preset.auth_type],
        steps=preset.steps(call.reader, url=webhook.url, webhook_id=webhook.id),
        is_public=is_public(webhook.url),
        command=signed_command(webhook.auth, webhook.url, preset.name),
        secret_variable=VARIABLE,
        events=events,
        refusals=refusals,
        flow=flow,
        test=test if test is not None else document_text(sample(preset.name, str(uuid4().int)[:10])),
        problem=problem,
        secrets=[str(one) for one in webhook.auth.get("secrets") or ()],
        invented=invented_secret() if preset.invents else "",
        word_of_auth=auth_word(call),
        as_body=as_body(webhook),
        test_header=TEST_HEADER,
        live=call.shared["live"] if tab == "requests" else None,
    )


def as_body(webhook: ShownWebhook) -> dict[str, Any]:
    """The definition as a PUT takes it, with its secrets masked."""
    left_out = ("id", "url", "lastEventAt", "revision", "createdAt", "updatedAt")
    fields: dict[str, Any] = msgspec.to_builtins(webhook)
    return {name: value for name, value in fields.items() if name not in left_out and value is not None}
