"""Removes the records of finished jobs in short requests: the page shows how far it is, and the reader can stop it."""

from typing import Any, Final

from ingest.dashboard.page_types import Json, PageAnswer, PageCall

STATES: Final = ("completed", "failed")
AGES: Final = (("default", None), ("hour", 3_600_000), ("all", 0))
"""Ages from which records of finished jobs are removed, in ms; None: the retention."""

STEPS: Final = 10
"""How many steps one request makes. A step takes a few milliseconds."""

MAX_DIGITS: Final = 12


async def clean(call: PageCall) -> PageAnswer:
    """Makes the next steps, of one queue or of all.

    Without a script, a page shows how far it is and has a button that continues. A script gets the figures, and
    continues until the reader stops it.
    """
    body: dict[str, Any] = {name: call.form[name] for name in ("queue", "state", "cursor") if call.form.get(name)}
    age = dict(AGES).get(call.form.get("age", "default"))
    if age is not None:
        body["olderThanMs"] = age
    done = (await call.api.call("cleanQueues", body={**body, "steps": STEPS})).data
    call.figures.expire("queues")
    if call.wants_json:
        return Json(
            {
                "removed": done.removed,
                "doneLists": done.done_lists,
                "lists": done.lists,
                "nextCursor": done.next_cursor,
            }
        )
    removed = _removed_before(call) + done.removed
    if done.next_cursor is None:
        return call.done("queues.cleaned", count=removed)
    return call.render("queues/clean.html", done=done, removed=removed)


def _removed_before(call: PageCall) -> int:
    """How many records the requests before have removed."""
    text = call.form.get("removed", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
