"""Ids: derived ones repeat, random ones are ordered by time."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from filas.contract import identity


def test_a_notification_is_found_by_its_key() -> None:
    """Any other text is the key of no notification."""
    execution = identity.new_id()
    assert identity.notification_id_of_key(identity.effect_key(execution, 5)) == identity.notification_id(execution, 5)
    assert identity.notification_id_of_key(f"{execution}:5:2") == identity.notification_id(execution, 5, 2)
    for other in ("", "execution:5", f"{execution}", f"{execution}:", f"{execution}:-5", f"{execution}:1:2:3", "5:5"):
        assert identity.notification_id_of_key(other) is None


def test_the_same_duplicate_key_of_one_webhook_is_the_same_event() -> None:
    """Two ingest processes that accept one webhook twice store one event."""
    assert identity.event_id("orders", "evt_1") == identity.event_id("orders", "evt_1")
    assert identity.event_id("orders", "evt_1") != identity.event_id("payments", "evt_1")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_parts_give_different_ids(left: list[str], right: list[str]) -> None:
    """With any characters in the parts."""
    assert (identity.derived_id("kind", *left) == identity.derived_id("kind", *right)) == (left == right)


@given(st.lists(st.text(), max_size=4))
def test_a_derived_id_is_a_uuid_of_version_5(parts: list[str]) -> None:
    """The standard library derives the same id."""
    name = "kind" + "".join(f"|{len(part)}:{part}" for part in parts)
    assert identity.derived_id("kind", *parts) == uuid.uuid5(uuid.UUID("6f0c1f0e-9d0b-5c53-9c1e-1d6a5f3f9a10"), name)


def test_new_ids_are_version_7_and_ordered_by_time() -> None:
    """Rows with these ids are in the order of their creation (to the millisecond)."""
    ids = [identity.new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(value.version == 7 and value.variant == uuid.RFC_4122 for value in ids)
    stamps = [value.int >> 80 for value in ids]
    assert stamps == sorted(stamps)
