"""The pages of dead letters: groups with their trend, the members of a group, one dead letter, and what can be done."""

from typing import Any, Final
from urllib.parse import quote

import msgspec

from filas.contract.policies import QUEUES
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, Live, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages.replays import number_field
from ingest.dashboard.presentation.payload_text import document_text

LIST: Final = "/dashboard/dead-letters"
TIMES: Final = ("since", "until")
DEFAULT_RATE: Final = "10"
MAX_DELETED: Final = 10_000


async def show_list(call: PageCall) -> Html:
    """Shows the groups of the last day (or of `since` and `until`), and the newest dead letters."""
    groups = await call.api.part("listDeadLetterGroups", query=call.filters("queue", *TIMES))
    letters = await call.api.part("listDeadLetters", query=call.filters("cursor", "queue", "fingerprint"))
    return call.render("dead_letters/list.html", groups=groups, letters=letters, queues=_queues())


async def show_group(call: PageCall) -> Html:
    """Shows the dead letters with one fingerprint, and how to replay or delete all of them."""
    fingerprint = call.path["fingerprint"]
    letters = await call.api.part(
        "listDeadLetters", query={"fingerprint": fingerprint, **call.filters("cursor", "queue")}
    )
    groups = await call.api.part("listDeadLetterGroups", query=call.filters("queue", *TIMES))
    found = [one for one in groups.data or () if one.fingerprint == fingerprint]
    preview = None
    if call.query.get("preview") and call.api.may("replayDeadLetters"):
        body = {"fingerprint": fingerprint, "dryRun": True, **number_field(call, call.query, "rate")}
        preview = (await call.api.call("replayDeadLetters", body=body)).data
    return call.render(
        "dead_letters/group.html",
        fingerprint=fingerprint,
        letters=letters,
        groups=found,
        preview=preview,
        default_rate=DEFAULT_RATE,
    )


async def show_letter(call: PageCall) -> Html:
    """Shows one dead letter with its payload, its error and its attempts."""
    letter = (await call.api.call("getDeadLetter", path={"id": call.path["id"]})).data
    return await _letter_page(call, letter)


async def replay_letter(call: PageCall) -> PageAnswer:
    """Replays one dead letter, with the edited job message if it was changed. A wrong one is shown again."""
    call.api.require("replayDeadLetter")
    letter_id, edited = call.path["id"], call.form.get("payload")
    letter = (await call.api.call("getDeadLetter", path={"id": letter_id})).data
    # A browser sends line breaks as CR LF.
    changed = edited is not None and edited.replace("\r\n", "\n") != _job_text(letter)
    body = b'{"payload":' + edited.encode("utf-8", "replace") + b"}" if edited is not None and changed else b"{}"
    try:
        answer = await call.api.call("replayDeadLetter", path={"id": letter_id}, body=body)
    except ApiProblem as problem:
        if not changed or problem.status == 403:
            raise
        return await _letter_page(call, letter, edited, problem)
    return call.done("dead-letters.replayed", f"{LIST}/{letter_id}", job=answer.data.job_id)


async def delete_letter(call: PageCall) -> Redirect:
    """Deletes one dead letter. The next page has a button that restores it."""
    letter_id = call.path["id"]
    await call.api.call("deleteDeadLetter", path={"id": letter_id})
    return call.done("dead-letters.deleted", LIST, undo=f"{LIST}/{letter_id}/restore")


async def restore_letter(call: PageCall) -> Redirect:
    """Restores a deleted dead letter."""
    letter_id = call.path["id"]
    await call.api.call("restoreDeadLetter", path={"id": letter_id})
    return call.done("dead-letters.restored", f"{LIST}/{letter_id}")


async def replay_group(call: PageCall) -> Redirect:
    """Replays all dead letters with one fingerprint in the background, or shows first what would be replayed."""
    fingerprint = call.path["fingerprint"]
    if "preview" in call.form:
        rate = quote(call.form.get("rate", ""), safe="")
        return Redirect(f"{_group(fingerprint)}?preview=1&rate={rate}")
    body = {"kind": "dead-letters", "fingerprint": fingerprint, **number_field(call, call.form, "rate")}
    run = (await call.api.call("startReplay", body=body)).data
    return Redirect(f"/dashboard/replays/{run.id}")


async def delete_group(call: PageCall) -> Redirect:
    """Deletes all dead letters with one fingerprint. The next page has a button that restores them."""
    body = {"fingerprint": call.path["fingerprint"], "limit": MAX_DELETED}
    result = (await call.api.call("deleteDeadLetters", body=body)).data
    undo = f"{LIST}/deletions/{result.deletion}/restore" if result.deletion else ""
    return call.done("dead-letters.deleted-many", LIST, count=result.deleted, undo=undo)


async def restore_many(call: PageCall) -> Redirect:
    """Restores the dead letters that were deleted together."""
    result = (await call.api.call("restoreDeadLetters", body={"deletion": call.path["deletion"]})).data
    return call.done("dead-letters.restored-many", LIST, count=result.restored)


async def _letter_page(
    call: PageCall, letter: Any, edited: str | None = None, problem: ApiProblem | None = None
) -> Html:
    message_id = (letter.payload or {}).get("notificationId")
    message = await call.api.part("getNotification", path={"id": str(message_id)}) if message_id else None
    return call.render(
        "dead_letters/letter.html",
        status=200 if problem is None else problem.status,
        letter=letter,
        message=message,
        job_text=_job_text(letter),
        edited=edited,
        problem=problem,
    )


def _group(fingerprint: str) -> str:
    return f"{LIST}/groups/{quote(fingerprint, safe='')}"


def _job_text(letter: Any) -> str:
    return document_text(msgspec.to_builtins(letter.payload)) if letter.payload is not None else ""


def _queues() -> list[tuple[str, str]]:
    return [(policy.name, policy.name) for policy in QUEUES]


ROUTES = (
    PageRoute("GET", "/dead-letters", show_list, Live(every_s=5.0)),
    PageRoute("GET", "/dead-letters/groups/{fingerprint}", show_group),
    PageRoute("POST", "/dead-letters/groups/{fingerprint}/replay", replay_group),
    PageRoute("POST", "/dead-letters/groups/{fingerprint}/delete", delete_group),
    PageRoute("POST", "/dead-letters/deletions/{deletion}/restore", restore_many),
    PageRoute("GET", "/dead-letters/{id}", show_letter),
    PageRoute("POST", "/dead-letters/{id}/replay", replay_letter),
    PageRoute("POST", "/dead-letters/{id}/delete", delete_letter),
    PageRoute("POST", "/dead-letters/{id}/restore", restore_letter),
)
