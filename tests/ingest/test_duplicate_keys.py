"""Duplicate keys: what identifies an event within its webhook."""

import hashlib
from typing import Any

import pytest

from filas.models.configuration import Dedupe
from ingest.receive import duplicate_keys
from tests.ingest.verify.received_requests import received_request


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        (Dedupe(header="X-Id"), "h1"),
        (Dedupe(header="x-ID"), "h1"),
        (Dedupe(header="X-Other"), None),
        (Dedupe(path="order.id"), "17"),
        (Dedupe(path="order"), '{"id":17,"v":"a"}'),
        (Dedupe(path="missing"), None),
        (Dedupe(path="list[1].id"), "b"),
        (Dedupe(path="list[-1].id"), "b"),
        (Dedupe(path="list[2].id"), None),
        (Dedupe(path="list.id"), None),
        (Dedupe(path="order[0]"), None),
        (Dedupe(path="list[?id=='b'].id | [0]"), "b"),
        (Dedupe(path="empty"), None),
        (Dedupe(path="length(order.id)"), None),  # an error within the search: there is no key
        (Dedupe(body=True), "sha256:" + hashlib.sha256(b"raw").hexdigest()),
        (Dedupe(), None),
    ],
)
def test_the_key_is_read_from_the_place_that_the_webhook_names(rule: Dedupe, key: str | None) -> None:
    """A header, a field of the body, or the hash of the whole body."""
    document = {"order": {"v": "a", "id": 17}, "empty": "", "list": [{"id": "a"}, {"id": "b"}]}
    assert duplicate_keys.configured(rule)(received_request(b"raw", {"X-Id": "h1"}), document) == key


@pytest.mark.parametrize("document", [None, "text", 5, [], {"a": None}])
def test_a_body_without_the_field_has_no_key(document: Any) -> None:
    """Neither has a body that is text or a number."""
    assert duplicate_keys.configured(Dedupe(path="a.b"))(received_request(), document) is None


def test_an_invalid_path_is_rejected_when_the_webhook_is_made_ready() -> None:
    """Not with the first request."""
    with pytest.raises(ValueError, match="unexpected end"):
        duplicate_keys.configured(Dedupe(path="a["))


@pytest.mark.parametrize("key", ["x" * 256, "a\0b", "\ud800"])
def test_a_key_that_no_column_can_hold_is_hashed(key: str) -> None:
    """Equal keys have equal hashes, and different keys have different ones."""
    assert duplicate_keys.bounded(key) == duplicate_keys.bounded(key)
    assert duplicate_keys.bounded(key).startswith("sha256:")
    assert duplicate_keys.bounded(key) != duplicate_keys.bounded(key + "y")
    assert duplicate_keys.bounded("wamid.1") == "wamid.1"
