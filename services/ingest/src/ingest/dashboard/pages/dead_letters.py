"""The pages of dead letters: groups with their trend, the members of a group, one dead letter, replays."""

from typing import Any
from urllib.parse import quote

import msgspec

from filas.contract.policies import QUEUES
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.presentation.payload_text import document_text

LIST = "/dashboard/dead-letters"
FILTERS = ("queue", "fingerprint")
DEFAULT_RATE = "10"


async def show_list(call: PageCall) -> Html:
    """Shows the groups of the last day (or of `since` and `until`), and the newest dead letters."""
    groups = await call.api.part("listDeadLetterGroups", query=call.filters("queue", "since", "until"))
    query = call.filters("cursor", *FILTERS)
    letters = await call.api.part("listDeadLetters", query=query)
    return call.render(
        "dead_letters/list.html", groups=groups, letters=letters, queues=_queues(), default_rate=DEFAULT_RATE
    )


async def show_group(call: PageCall) -> Html:
    """Shows the dead letters with one fingerprint, and how to replay all of them."""
    fingerprint = call.path["fingerprint"]
    query = {"fingerprint": fingerprint, **call.filters("cursor", "queue")}
    letters = await call.api.part("listDeadLetters", query=query)
    groups = await call.api.part("listDeadLetterGroups", query=call.filters("queue", "since", "until"))
    group = next((one for one in groups.data or () if one.fingerprint == fingerprint), None)
    preview = None
    if call.query.get("preview"):
        preview = await _replay_many(call, {"fingerprint": fingerprint, "dryRun": True})
    return call.render(
        "dead_letters/group.html",
        fingerprint=fingerprint,
        letters=letters,
        group=group,
        preview=preview,
        default_rate=DEFAULT_RATE,
    )


async def show_letter(call: PageCall) -> Html:
    """Shows one dead letter with its payload, its error and its attempts."""
    letter = (await call.api.call("getDeadLetter", path={"id": call.path["id"]})).data
    return call.render("dead_letters/letter.html", letter=letter, job_text=_job_text(letter), edited=None, problem=None)


async def replay_letter(call: PageCall) -> PageAnswer:
    """Replays one dead letter, with the edited job message if it was changed. A wrong one is shown again."""
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
        text = _job_text(letter)
        return call.render(
            "dead_letters/letter.html",
            status=problem.status,
            letter=letter,
            job_text=text,
            edited=edited,
            problem=problem,
        )
    return call.done("dead-letters.replayed", f"{LIST}/{letter_id}", job=answer.data.job_id)


async def delete_letter(call: PageCall) -> Redirect:
    """Deletes one dead letter."""
    await call.api.call("deleteDeadLetter", path={"id": call.path["id"]})
    return call.done("dead-letters.deleted", LIST)


async def replay_group(call: PageCall) -> Redirect:
    """Replays all dead letters with one fingerprint, or shows first what would be replayed."""
    fingerprint = call.path["fingerprint"]
    page = f"{LIST}/groups/{quote(fingerprint, safe='')}"
    if "preview" in call.form:
        rate = call.form.get("rate", "")
        return Redirect(f"{page}?preview=1&rate={quote(rate, safe='')}")
    result = await _replay_many(call, {"fingerprint": fingerprint})
    return call.done("dead-letters.replayed-many", page, count=result.replayed, refused=result.refused_count)


async def _replay_many(call: PageCall, body: dict[str, Any]) -> Any:
    rate = call.form.get("rate") or call.query.get("rate") or ""
    if rate:
        try:
            body["rate"] = float(rate.replace(",", "."))
        except ValueError:
            raise ApiProblem(422, "Invalid", call.reader.text("dead-letters.wrong-rate", rate=rate[:50])) from None
    return (await call.api.call("replayDeadLetters", body=body)).data


def _job_text(letter: Any) -> str:
    return document_text(msgspec.to_builtins(letter.payload)) if letter.payload is not None else ""


def _queues() -> list[tuple[str, str]]:
    return [(policy.name, policy.name) for policy in QUEUES]


ROUTES = (
    PageRoute("GET", "/dead-letters", show_list),
    PageRoute("GET", "/dead-letters/groups/{fingerprint}", show_group),
    PageRoute("POST", "/dead-letters/groups/{fingerprint}/replay", replay_group),
    PageRoute("GET", "/dead-letters/{id}", show_letter),
    PageRoute("POST", "/dead-letters/{id}/replay", replay_letter),
    PageRoute("POST", "/dead-letters/{id}/delete", delete_letter),
)
