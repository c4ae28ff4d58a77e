"""What a browser loads for the JSON of a flow, when its panel is opened."""

import gzip
import json

import pytest

from ingest.dashboard import assets

OWN = ("json_panel", "json_editor", "json_completion", "json_text", "form_schema", "form_texts")
BUDGET = 300_000


def test_the_json_editor_is_within_its_budget() -> None:
    """300 kB, compressed. Without npm, there is only a text field."""
    record = assets.content_of("vendor/installed.json")
    if record is None:
        pytest.skip("the third-party files are not installed")
    vendor = [f"vendor/{file}" for file in json.loads(record)["files"] if file.startswith("codemirror/")]
    assert len(vendor) > 10
    sizes = {
        name: len(gzip.compress(assets.content_of(name) or b""))
        for name in (*vendor, *(f"editor/{module}.js" for module in OWN))
    }
    assert all(sizes.values())
    assert sum(sizes.values()) <= BUDGET, sizes
