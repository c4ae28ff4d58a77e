"""The actions on webhooks: create, change, enable, delete, send a test event, rotate secrets."""

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from ingest.api.definitions.webhook_routes import ShownWebhook
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Live, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages.webhooks.webhook_form import webhook_form
from ingest.dashboard.pages.webhooks.webhook_pages import (
    LIST,
    TEST_HEADER,
    choices_of,
    list_webhooks,
    new_page,
    new_webhook,
    show_webhook,
    webhook_page,
)


async def create_webhook(call: PageCall) -> PageAnswer:
    """Stores a new webhook. A wrong form is shown again."""
    call.api.require("putWebhook")
    provider = call.form.get("provider", "")
    flows, channels = await choices_of(call)
    form = webhook_form(call.form.get("auth.type", "none"), flows=flows, channels=channels, is_new=True)
    view = form.read(call.reader, call.form)
    if not view.is_complete:
        return new_page(call, view, provider, status=view.status)
    webhook_id = str(view.body.get("id", ""))
    if not webhook_id:
        return new_page(call, view.with_errors({"id": [call.reader.text("webhooks.id-missing")]}), provider, status=422)
    if webhook_id == "new" or await call.api.exists("getWebhook", webhook_id):
        taken = {"id": [call.reader.text("webhooks.id-taken")]}
        return new_page(call, view.with_errors(taken), provider, status=422)
    try:
        await _store(call, webhook_id, view)
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        return new_page(call, view.with_problem(problem), provider, status=problem.status)
    query = f"?{urlencode({'provider': provider})}" if provider else ""
    return call.done("webhooks.created", f"{LIST}/{webhook_id}{query}", id=webhook_id)


async def change_webhook(call: PageCall) -> PageAnswer:
    """Stores the changed definition. A wrong form is shown again."""
    call.api.require("putWebhook")
    webhook = await _webhook(call)
    kind = call.form.get("auth.type", "none")
    flows, channels = await choices_of(call)
    stored: dict[str, Any] = msgspec.to_builtins(webhook)
    if kind != webhook.auth.get("type"):
        stored["auth"] = {}  # its secrets are those of another authentication
    view = webhook_form(kind, flows=flows, channels=channels).read(call.reader, call.form, stored)
    if not view.is_complete:
        return await webhook_page(call, webhook, "definition", view, status=view.status)
    try:
        await _store(call, webhook.id, view)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return await webhook_page(call, webhook, "definition", view.with_problem(problem), status=problem.status)
    return call.done("webhooks.saved", f"{LIST}/{webhook.id}?show=definition", id=webhook.id)


async def _store(call: PageCall, webhook_id: str, view: FormView) -> None:
    query = {"force": "true"} if view.pressed("force") else {}
    await call.api.call("putWebhook", path={"id": webhook_id}, query=query, body=view.body)


async def _webhook(call: PageCall) -> ShownWebhook:
    webhook: ShownWebhook = (await call.api.call("getWebhook", path={"id": call.path["id"]})).data
    return webhook


async def enable_webhook(call: PageCall) -> Redirect:
    """Enables or disables a webhook. Nothing else of its definition changes, or is checked."""
    call.api.require("putWebhook")
    webhook = await _webhook(call)
    enabled = call.form.get("enabled") == "true"
    body: dict[str, Any] = {**msgspec.to_builtins(webhook), "enabled": enabled}
    await call.api.call("putWebhook", path={"id": webhook.id}, query={"force": "true"}, body=body)
    return call.done("webhooks.enabled-done" if enabled else "webhooks.disabled-done", id=webhook.id)


async def delete_webhook(call: PageCall) -> Redirect:
    """Deletes a webhook."""
    await call.api.call("deleteWebhook", path={"id": call.path["id"]})
    return call.done("webhooks.deleted", LIST, id=call.path["id"])


async def send_test_event(call: PageCall) -> PageAnswer:
    """Has the API accept an event, and leads to it. What is wrong is shown above what was typed."""
    call.api.require("acceptEvents")
    typed = call.form.get("body", "").replace("\r\n", "\n")
    try:
        body = msgspec.Raw(typed.strip().encode("utf-8", "surrogatepass"))
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return await _test_again(call, typed, call.reader.text("forms.not-json", reason=str(error)), 422)
    event = {"webhookId": call.path["id"], "headers": {TEST_HEADER: call.client.name}, "body": body}
    [outcome] = (await call.api.call("acceptEvents", body={"events": [event]})).data.events
    if outcome.error is not msgspec.UNSET:
        return await _test_again(call, typed, outcome.error.detail, 422)
    message = "webhooks.test-duplicate" if outcome.duplicate is True else "webhooks.test-sent"
    return call.done(message, f"/dashboard/events/{outcome.event_id}")


async def _test_again(call: PageCall, typed: str, problem: str, status: int) -> PageAnswer:
    return await webhook_page(call, await _webhook(call), "requests", status=status, test=typed, problem=problem)


async def add_secret(call: PageCall) -> PageAnswer:
    """Adds a secret beside those that the webhook has."""
    call.api.require("addWebhookSecret")
    secret = call.form.get("secret", "").strip()
    try:
        await call.api.call("addWebhookSecret", path={"id": call.path["id"]}, body={"secret": secret})
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        webhook = await _webhook(call)
        return await webhook_page(call, webhook, "secrets", status=problem.status, problem=problem.detail)
    return call.done("webhooks.secret-added", f"{LIST}/{call.path['id']}?show=secrets")


async def remove_secret(call: PageCall) -> Redirect:
    """Removes one of the secrets."""
    path = {"id": call.path["id"], "place": call.path["place"]}
    await call.api.call("removeWebhookSecret", path=path)
    return call.done("webhooks.secret-removed", f"{LIST}/{call.path['id']}?show=secrets")


ROUTES: Final = (
    PageRoute("GET", "/webhooks", list_webhooks, Live(every_s=10.0)),
    PageRoute("GET", "/webhooks/new", new_webhook),
    PageRoute("POST", "/webhooks/new", create_webhook),
    PageRoute("GET", "/webhooks/{id}", show_webhook, Live(every_s=5.0)),
    PageRoute("POST", "/webhooks/{id}", change_webhook),
    PageRoute("POST", "/webhooks/{id}/enabled", enable_webhook),
    PageRoute("POST", "/webhooks/{id}/delete", delete_webhook),
    PageRoute("POST", "/webhooks/{id}/test", send_test_event),
    PageRoute("POST", "/webhooks/{id}/secrets", add_secret),
    PageRoute("POST", "/webhooks/{id}/secrets/{place}/remove", remove_secret),
)
