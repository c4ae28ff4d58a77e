"""Divides a body of Meta into items: one for each message, receipt or other notice.

WhatsApp's notices are in `entry[].changes[].value`, mostly in lists such as `messages` and `statuses`. Those of
Messenger and Instagram are in `entry[].messaging[]`; Instagram also sends them as `entry[].changes[].value`. One body
can carry up to a thousand of them, of many contacts. What has no known shape is an item too, so nothing is dropped.

Sources, on developers.facebook.com: WhatsApp Cloud API, "Webhooks", "Payload examples"; Messenger Platform, "Webhooks";
Instagram Platform, "Webhooks".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ingest.providers.document_fields import object_of, objects

WHATSAPP_LISTS: Final = ("messages", "statuses", "message_echoes", "user_preferences", "calls", "errors")
ENTRY_LISTS: Final = ("messaging", "standby")
INSTAGRAM_FIELDS: Final = frozenset(
    {
        "messages",
        "messaging_postbacks",
        "message_reactions",
        "messaging_seen",
        "messaging_referral",
        "messaging_optins",
        "messaging_handover",
        "message_edit",
        "message_echoes",
    }
)


@dataclass(slots=True)
class Item:
    """One notice and its place in the body. `list_name` is the list that contains it, `messaging` also for Instagram's
    `changes`, and empty for a notice of another shape. `path` leads to `content` from the root of the body."""

    path: tuple[str | int, ...]
    list_name: str
    content: Any
    entry: Any = None
    change: Any = None

    @property
    def value(self) -> dict[str, Any]:
        """The `value` of the item's change, empty if it has none."""
        return object_of(object_of(self.change).get("value"))


def items_of(document: Any) -> list[Item]:
    """The items of a body, in order. There is at least one."""
    entries = document.get("entry") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        return [Item((), "", document)]
    return [item for number, entry in enumerate(entries) for item in _of_entry(("entry", number), entry)]


def _of_entry(path: tuple[str | int, ...], entry: Any) -> Iterator[Item]:
    found = False
    fields = object_of(entry)
    for name in ENTRY_LISTS:
        contents = fields.get(name)
        if isinstance(contents, list):
            for number, content in enumerate(contents):
                found = True
                yield Item((*path, name, number), name if isinstance(content, dict) else "", content, entry)
    changes = fields.get("changes")
    if isinstance(changes, list):
        for number, change in enumerate(changes):
            found = True
            yield from _of_change((*path, "changes", number), entry, change)
    if not found:
        yield Item(path, "", entry, entry)


def _of_change(path: tuple[str | int, ...], entry: Any, change: Any) -> Iterator[Item]:
    value = object_of(change).get("value")
    if isinstance(value, dict):
        if "sender" in value and object_of(change).get("field") in INSTAGRAM_FIELDS:
            yield Item((*path, "value"), "messaging", value, entry, change)
            return
        found = False
        for name in WHATSAPP_LISTS:
            contents = value.get(name)
            if isinstance(contents, list):
                for number, content in enumerate(contents):
                    found = True
                    known = name if isinstance(content, dict) else ""
                    yield Item((*path, "value", name, number), known, content, entry, change)
        if found:
            return
    yield Item(path, "", change, entry, change)


def as_body(document: Any, item: Item) -> Any:
    """The item as a body of its own, with everything around it and with the profiles of its own contact only."""
    if item.entry is None:
        return document
    if not isinstance(item.entry, dict):
        return {**document, "entry": [item.entry]}
    entry = {name: value for name, value in item.entry.items() if name not in ("changes", *ENTRY_LISTS)}
    if item.change is not None:
        entry["changes"] = [_as_change(item)]
    elif len(item.path) > 2:
        entry[str(item.path[2])] = [item.content]
    return {**document, "entry": [entry]}


def _as_change(item: Item) -> Any:
    if len(item.path) <= 5:  # the item is the whole change, or its value
        return item.change
    value = {name: part for name, part in item.value.items() if name not in (*WHATSAPP_LISTS, "contacts")}
    profiles = profiles_of(item.value, item.content)
    if profiles:
        value["contacts"] = profiles
    value[str(item.path[5])] = [item.content]
    return {**item.change, "value": value}


def profiles_of(value: dict[str, Any], content: Any) -> list[dict[str, Any]]:
    """The elements of `contacts` that are about the sender or receiver of a WhatsApp notice."""
    notice = object_of(content)
    numbers = _identities(notice, ("from", "recipient_id", "wa_id"))
    users = _identities(notice, ("from_user_id", "recipient_user_id", "user_id"))
    return [
        profile
        for profile in objects(value.get("contacts"))
        if _identities(profile, ("wa_id",)) & numbers or _identities(profile, ("user_id",)) & users
    ]


def _identities(fields: dict[str, Any], names: tuple[str, ...]) -> set[str]:
    return {value for name in names if isinstance(value := fields.get(name), str) and value}
