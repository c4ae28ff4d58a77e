"""The API, for tests of pages and links."""

from tests.ingest.api.conftest import api

__all__ = ["api"]
