"""The pages and actions of flows."""

from typing import Final

from ingest.dashboard.page_types import PageRoute
from ingest.dashboard.pages.flows.flow_list import ask_to_delete, delete_flow, list_flows
from ingest.dashboard.pages.flows.flow_page import export_test, export_version, show_flow
from ingest.dashboard.pages.flows.version_actions import ask_to_roll_back, roll_back
from ingest.dashboard.pages.flows.version_comparison import show_comparison

ROUTES: Final[tuple[PageRoute, ...]] = (
    PageRoute("GET", "/flows", list_flows),
    PageRoute("GET", "/flows/{id}", show_flow),
    PageRoute("GET", "/flows/{id}/delete", ask_to_delete),
    PageRoute("POST", "/flows/{id}/delete", delete_flow),
    PageRoute("GET", "/flows/{id}/tests/{name}/export", export_test),
    PageRoute("GET", "/flows/{id}/versions/{version}/export", export_version),
    PageRoute("GET", "/flows/{id}/versions/{version}/roll-back", ask_to_roll_back),
    PageRoute("POST", "/flows/{id}/versions/{version}/roll-back", roll_back),
    PageRoute("GET", "/flows/{id}/versions/{pair}", show_comparison),
)
