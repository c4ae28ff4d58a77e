"""The actions on channels: create, change, resume, send a test message, change the credentials, delete."""

from typing import Any, Final

from ingest.api.definitions.channel_fields import TYPES
from ingest.api.routing.problems import ApiProblem, not_found
from ingest.dashboard.definition_forms.definition_form import DefinitionForm
from ingest.dashboard.page_types import Live, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages.channels.channel_form import TEST, channel_form, credentials_form
from ingest.dashboard.pages.channels.channel_pages import (
    LIST,
    as_body,
    channel_of,
    channel_page,
    list_channels,
    new_channel,
    new_page,
    show_channel,
)
from ingest.dashboard.pages.channels.channel_presets import BY_NAME


async def create_channel(call: PageCall) -> PageAnswer:
    """Stores a new channel. A wrong form is shown again."""
    call.api.require("putChannel")
    name = call.form.get("preset", "")
    preset = BY_NAME.get(name)
    if preset is None:
        raise not_found("kind of channel", name)
    view = channel_form(preset.kind, is_new=True).read(call.reader, call.form)
    if not view.is_complete:
        return new_page(call, view, name, status=view.status)
    channel_id = str(view.body.get("id", ""))
    if not channel_id:
        return new_page(call, view.with_errors({"id": [call.reader.text("channels.id-missing")]}), name, status=422)
    if channel_id == "new" or await call.api.exists("getChannel", channel_id):
        return new_page(call, view.with_errors({"id": [call.reader.text("channels.id-taken")]}), name, status=422)
    try:
        await call.api.call("putChannel", path={"id": channel_id}, body={**view.body, "type": preset.kind})
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        return new_page(call, view.with_problem(problem), name, status=problem.status)
    return call.done("channels.created", f"{LIST}/{channel_id}?type={name}", id=channel_id)


async def change_channel(call: PageCall) -> PageAnswer:
    """Stores the changed definition. A wrong form is shown again."""
    call.api.require("putChannel")
    channel = await channel_of(call)
    return await _changed(call, channel, "definition", channel_form(_known(channel)), "channels.saved")


async def change_credentials(call: PageCall) -> PageAnswer:
    """Stores other credentials. Nothing else of the definition changes."""
    call.api.require("putChannel")
    channel = await channel_of(call)
    form = credentials_form(_known(channel))
    if form is None:
        raise not_found("credentials of the channel", channel["id"])
    return await _changed(call, channel, "credentials", form, "channels.credentials-saved")


async def _changed(
    call: PageCall, channel: dict[str, Any], tab: str, form: DefinitionForm, message_id: str
) -> PageAnswer:
    view = form.read(call.reader, call.form, as_body(channel))
    if not view.is_complete:
        return await channel_page(call, channel, tab, view, status=view.status)
    try:
        await call.api.call("putChannel", path={"id": channel["id"]}, body=view.body)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return await channel_page(call, channel, tab, view.with_problem(problem), status=problem.status)
    return call.done(message_id, f"{LIST}/{channel['id']}?show={tab}", id=channel["id"])


def _known(channel: dict[str, Any]) -> str:
    """The type. Raises the 404 for one that a newer version has stored, which has no form here."""
    kind = str(channel["type"])
    if kind not in TYPES:
        raise not_found("form for channels of the type", kind)
    return kind


async def send_test_message(call: PageCall) -> PageAnswer:
    """Sends a test message. What is wrong is shown at its field."""
    call.api.require("testChannel")
    channel = await channel_of(call)
    view = TEST.read(call.reader, call.form)
    try:
        body = {"to": "", "text": "", **view.body}
        await call.api.call("testChannel", path={"id": channel["id"]}, body=body)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return await channel_page(call, channel, "messages", view.with_problem(problem), status=problem.status)
    return call.done("channels.test-sent", f"{LIST}/{channel['id']}")


async def resume_channel(call: PageCall) -> Redirect:
    """Closes the circuit, and makes the messages that wait due now."""
    done = (await call.api.call("resumeChannel", path={"id": call.path["id"]})).data
    call.figures.expire("circuits", "findings")
    return call.done("channels.resumed", f"{LIST}/{call.path['id']}", count=done.promoted, id=call.path["id"])


async def delete_channel(call: PageCall) -> PageAnswer:
    """Deletes a channel. One that other definitions name is deleted only if the user insists."""
    query = {"force": "true"} if call.form.get("force") else {}
    try:
        await call.api.call("deleteChannel", path={"id": call.path["id"]}, query=query)
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return await channel_page(call, await channel_of(call), "messages", status=409, in_use=problem)
    return call.done("channels.deleted", LIST, id=call.path["id"])


ROUTES: Final = (
    PageRoute("GET", "/channels", list_channels, Live(every_s=5.0)),
    PageRoute("GET", "/channels/new", new_channel),
    PageRoute("POST", "/channels/new", create_channel),
    PageRoute("GET", "/channels/{id}", show_channel, Live(every_s=5.0)),
    PageRoute("POST", "/channels/{id}", change_channel),
    PageRoute("POST", "/channels/{id}/credentials", change_credentials),
    PageRoute("POST", "/channels/{id}/test", send_test_message),
    PageRoute("POST", "/channels/{id}/resume", resume_channel),
    PageRoute("POST", "/channels/{id}/delete", delete_channel),
)
