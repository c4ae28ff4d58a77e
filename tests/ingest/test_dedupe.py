"""What makes two requests the same."""

import hashlib
from typing import Any

import pytest

from filas.models import Dedupe
from ingest import dedupe
from tests.ingest.verify.presenting import presented


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        (Dedupe(header="X-Id"), "h1"),
        (Dedupe(header="x-ID"), "h1"),
        (Dedupe(header="X-Other"), None),
        (Dedupe(path="order.id"), "17"),
        (Dedupe(path="order"), '{"id":17,"v":"a"}'),
        (Dedupe(path="missing"), None),
        (Dedupe(path="empty"), None),
        (Dedupe(path="length(order.id)"), None),  # an error within the search: there is no key
        (Dedupe(body=True), "sha256:" + hashlib.sha256(b"raw").hexdigest()),
        (Dedupe(), None),
    ],
)
def test_the_key_stands_where_the_webhook_says(rule: Dedupe, key: str | None) -> None:
    """In a header, in the body, or it is the body."""
    document = {"order": {"v": "a", "id": 17}, "empty": ""}
    assert dedupe.configured(rule)(presented(b"raw", {"X-Id": "h1"}), document) == key


@pytest.mark.parametrize("document", [None, "text", 5, [], {"a": None}])
def test_a_body_without_the_field_has_no_key(document: Any) -> None:
    """Text and numbers included."""
    assert dedupe.configured(Dedupe(path="a.b"))(presented(), document) is None


def test_a_path_that_does_not_parse_is_told_at_once() -> None:
    """Not with the first request."""
    with pytest.raises(ValueError, match="a\\["):
        dedupe.configured(Dedupe(path="a["))


@pytest.mark.parametrize("key", ["x" * 256, "a\0b", "\ud800"])
def test_a_key_that_no_column_takes_is_hashed(key: str) -> None:
    """Equal keys stay equal, different ones different."""
    assert dedupe.bounded(key) == dedupe.bounded(key)
    assert dedupe.bounded(key).startswith("sha256:")
    assert dedupe.bounded(key) != dedupe.bounded(key + "y")
    assert dedupe.bounded("wamid.1") == "wamid.1"
