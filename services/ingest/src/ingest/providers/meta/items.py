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

from ingest.providers.document_fields import object_of, objects, text_of

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

_IDENTITIES: Final = {
    "wa_id": ("from", "recipient_id", "wa_id"),
    "user_id": ("from_user_id", "recipient_user_id", "user_id"),
}
"""By the field of a profile: the fields of a notice that identify its contact."""


@dataclass(slots=True)
class Item:
    """One notice and its place in the body. `list_name` is the list that contains it, `messaging` also for Instagram's
    `changes`, and empty for a notice of another shape. `path` leads to `content` from the root of the body."""

    path: tuple[str | int, ...]
    list_name: str
    content: Any
    entry: Any = None
    change: Any = None
    contacts: "Profiles | None" = None

    @property
    def value(self) -> dict[str, Any]:
        """The `value` of the item's change, empty if it has none."""
        return object_of(object_of(self.change).get("value"))

    def profiles(self) -> list[dict[str, Any]]:
        """The elements of `contacts` that are about the sender or receiver of a WhatsApp notice."""
        return [] if self.contacts is None else self.contacts.of(object_of(self.content))


class Profiles:
    """The elements of `contacts` of a change, which its items share. They are indexed once, not for each item."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value
        self._index: dict[tuple[str, str], list[int]] | None = None
        self._profiles: list[dict[str, Any]] = []

    def of(self, notice: dict[str, Any]) -> list[dict[str, Any]]:
        """The profiles of the sender or receiver of a notice, in their order."""
        if self._index is None:
            self._profiles = objects(self._value.get("contacts"))
            self._index = {}
            for number, profile in enumerate(self._profiles):
                for name in ("wa_id", "user_id"):
                    identity = text_of(profile.get(name))
                    if identity is not None:
                        self._index.setdefault((name, identity), []).append(number)
        found: set[int] = set()
        for name, fields in _IDENTITIES.items():
            for field in fields:
                found.update(self._index.get((name, text_of(notice.get(field)) or ""), ()))
        return [self._profiles[number] for number in sorted(found)]


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
        if "sender" in value and text_of(object_of(change).get("field")) in INSTAGRAM_FIELDS:
            yield Item((*path, "value"), "messaging", value, entry, change)
            return
        found, profiles = False, Profiles(value)
        for name in WHATSAPP_LISTS:
            contents = value.get(name)
            if isinstance(contents, list):
                for number, content in enumerate(contents):
                    found = True
                    known = name if isinstance(content, dict) else ""
                    yield Item((*path, "value", name, number), known, content, entry, change, profiles)
        if found:
            return
    yield Item(path, "", change, entry, change)


class Envelopes:
    """Makes items bodies of their own. What is around items is copied once for each entry and change, not each item."""

    def __init__(self) -> None:
        self._rests: dict[int, dict[str, Any]] = {}

    def as_body(self, document: Any, item: Item) -> Any:
        """The item as a body of its own, with everything around it and with the profiles of its own contact only."""
        if not item.path:
            return document
        if not isinstance(item.entry, dict):
            return {**document, "entry": [item.entry]}
        entry = self._rest(item.entry, ("changes", *ENTRY_LISTS))
        if item.change is not None:
            entry["changes"] = [self._as_change(item)]
        elif len(item.path) > 2:
            entry[str(item.path[2])] = [item.content]
        return {**document, "entry": [entry]}

    def _as_change(self, item: Item) -> Any:
        if len(item.path) <= 5:  # the item is the whole change, or its value
            return item.change
        value = self._rest(item.value, (*WHATSAPP_LISTS, "contacts"))
        profiles = item.profiles()
        if profiles:
            value["contacts"] = profiles
        value[str(item.path[5])] = [item.content]
        return {**item.change, "value": value}

    def _rest(self, fields: dict[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
        """A copy of `fields`, which are those of an entry or of a change's value, without some names."""
        rest = self._rests.get(id(fields))
        if rest is None:
            rest = self._rests[id(fields)] = {name: part for name, part in fields.items() if name not in without}
        return rest.copy()
