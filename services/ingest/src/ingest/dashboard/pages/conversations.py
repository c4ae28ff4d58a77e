"""The pages of conversations: the search, and one conversation as a thread of messages, flows and waits."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from filas.contacts.phone_numbers import number_of
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.api_calls import Part
from ingest.dashboard.page_types import Html, Live, PageCall, PageRoute, Redirect

LIST: Final = "/dashboard/conversations"
ROWS: Final = 50
PAGE: Final = 40
"""How many messages a page has: with flows between all of them, its HTML has less than 40 kB."""

MAX_TEXT: Final = 2000
"""How many characters of a message the thread shows. Its event and its execution have the rest."""

STORED_WITHIN: Final = timedelta(seconds=2)

CANCELLABLE: Final = frozenset({"queued", "sending", "retrying"})
"""The delivery states in which a message can be cancelled."""

_ONE_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the thread: a message, or the beginning or the end of an execution."""

    at: datetime
    kind: str
    content: Any


async def show_list(call: PageCall) -> Html | Redirect:
    """Shows the conversations that `q` finds: those of a contact, or those with all words in one message."""
    typed = call.query.get("q", "").strip()
    found, by_contact = await _search(call, typed)
    if by_contact and "cursor" not in call.query and found.ok and len(found.data) == 1 and not found.next_cursor:
        return Redirect(f"{LIST}/{found.data[0].id}")
    chosen = call.filters("q", "channel")
    is_empty = found.ok and not found.data and not found.next_cursor
    elsewhere = (
        is_empty and "channel" in chosen and "q" in chosen and (await _search(call, typed, channel=False))[0].data
    )
    return call.render(
        "conversations/list.html",
        typed=typed,
        found=found,
        rows=ROWS,
        by_contact=by_contact,
        is_number=number_of(typed) is not None,
        chosen=chosen,
        is_elsewhere=bool(elsewhere),
        options=_options(typed, by_contact=by_contact) + _channel(call),
        api_query=({"contact" if by_contact else "text": typed} if typed else {}) | call.filters("channel"),
    )


async def _search(call: PageCall, typed: str, *, channel: bool = True) -> tuple[Part, bool]:
    """Returns what is found, and whether it was found as a contact.

    An address may be written in any form, and may look like a word (an id of Slack): a single word, and every number,
    is searched as a contact first. A later page continues the search that found the first one.
    """
    rest = call.filters("channel") if channel else {}
    if number_of(typed) is not None or _ONE_WORD.fullmatch(typed):
        of_contact = await call.api.part(
            "listConversations", query={"contact": typed, **rest, **call.filters("cursor")}
        )
        if not of_contact.ok or of_contact.data or await _has_contact(call, typed, rest):
            return of_contact, True
    query = {"text": typed, **rest, **call.filters("cursor")}
    return await call.api.part("listConversations", query=query), False


async def _has_contact(call: PageCall, typed: str, rest: dict[str, str]) -> bool:
    if "cursor" not in call.query:
        return False
    first = await call.api.part("listConversations", query={"contact": typed, **rest, "limit": 1})
    return bool(first.data)


def _options(typed: str, *, by_contact: bool) -> tuple[str, ...]:
    return ("--contact" if by_contact else "--text", typed) if typed else ()


def _channel(call: PageCall) -> tuple[str, ...]:
    return ("--channel", call.query["channel"]) if call.query.get("channel") else ()


async def show_thread(call: PageCall) -> Html | Redirect:
    """Shows a conversation, the newest messages at the end. A merged conversation leads to the one it is a part of."""
    query = {"limit": PAGE, **call.filters("cursor")}
    answer = await call.api.call("getConversation", path={"id": call.path["id"]}, query=query)
    thread = answer.data
    if UUID(call.path["id"]) != thread.id:
        return Redirect(f"{LIST}/{thread.id}")
    cause = await call.api.part("doctor", query={"conversation": str(thread.id)}) if thread.executions else None
    return call.render(
        "conversations/thread.html",
        cause=cause,
        thread=thread,
        entries=_entries(thread, answer.next_cursor, is_newest="cursor" not in call.query),
        next_cursor=answer.next_cursor,
        cancellable=CANCELLABLE,
        max_text=MAX_TEXT,
    )


def _entries(thread: Any, next_cursor: str | None, *, is_newest: bool) -> list[Entry]:
    """The messages of a page with the executions that began or ended between them, the oldest first."""
    messages = [Entry(one.at, one.direction, one) for one in thread.messages]
    begin = messages[-1].at if messages and next_cursor else None
    end = messages[0].at if messages and not is_newest else None
    flows = [Entry(one.queued_at, "began", one) for one in thread.executions]
    last = {one.execution_id: one.at for one in reversed(thread.messages) if one.direction == "outgoing"}
    flows += [_end_of(one, last.get(one.id)) for one in thread.executions if one.ended_at is not None]
    within = [one for one in flows if (begin is None or one.at >= begin) and (end is None or one.at <= end)]
    # At the same time, a flow begins before its message and ends after it.
    order = {"began": 0, "incoming": 1, "outgoing": 2, "ended": 3}
    return sorted([*messages, *within], key=lambda one: (one.at, order[one.kind]))


def _end_of(execution: Any, last_message: datetime | None) -> Entry:
    """The end of an execution. Its last messages are stored with it, a moment later, and are shown before it."""
    ended: datetime = execution.ended_at
    is_part = last_message is not None and timedelta(0) < last_message - ended < STORED_WITHIN
    return Entry(last_message if is_part and last_message is not None else ended, "ended", execution)


async def cancel_executions(call: PageCall) -> Redirect:
    """Cancels what waits: the execution that the form names, or all that wait in the conversation."""
    call.api.require("cancelExecution")
    page = f"{LIST}/{call.path['id']}"
    if call.form.get("execution"):
        await call.api.call("cancelExecution", path={"id": call.form["execution"]})
        return call.done("conversations.cancelled", call.return_to, count=1)
    thread = (await call.api.call("getConversation", path={"id": call.path["id"]}, query={"limit": 1})).data
    count = 0
    for wait in thread.waits:
        try:
            await call.api.call("cancelExecution", path={"id": str(wait.execution_id)})
        except ApiProblem as problem:
            if problem.status != 409:  # it has ended meanwhile
                raise
        else:
            count += 1
    return call.done("conversations.cancelled", page, count=count)


async def cancel_message(call: PageCall) -> Redirect:
    """Cancels a message that is not sent yet."""
    await call.api.call("cancelNotification", path={"id": call.form.get("message", "")})
    return call.done("conversations.message-cancelled", call.return_to)


ROUTES = (
    PageRoute("GET", "/conversations", show_list, Live(every_s=5.0)),
    PageRoute("GET", "/conversations/{id}", show_thread, Live()),
    PageRoute("POST", "/conversations/{id}/cancel", cancel_executions),
    PageRoute("POST", "/conversations/{id}/cancel-message", cancel_message),
)
