"""The pages and actions of executions."""

from typing import Final

from ingest.dashboard.page_types import Live, PageRoute
from ingest.dashboard.pages.executions.bulk_replay import check_replay, replay_all
from ingest.dashboard.pages.executions.execution_comparison import compare
from ingest.dashboard.pages.executions.execution_list import list_executions
from ingest.dashboard.pages.executions.execution_page import cancel_execution, download_step, show_execution
from ingest.dashboard.pages.executions.execution_replay import replay_execution, show_replay
from ingest.dashboard.pages.executions.waiting_list import list_waiting

ROUTES: Final[tuple[PageRoute, ...]] = (
    PageRoute("GET", "/executions", list_executions, live=Live(every_s=5.0)),
    PageRoute("GET", "/executions/replay", check_replay),
    PageRoute("POST", "/executions/replay", replay_all),
    PageRoute("GET", "/executions/{id}", show_execution, live=Live(every_s=3.0)),
    PageRoute("GET", "/executions/{id}/compare", compare),
    PageRoute("GET", "/executions/{id}/replay", show_replay),
    PageRoute("POST", "/executions/{id}/replay", replay_execution),
    PageRoute("POST", "/executions/{id}/cancel", cancel_execution),
    PageRoute("GET", "/executions/{id}/steps/{seq}/{part}", download_step),
    PageRoute("GET", "/waiting", list_waiting, live=Live(every_s=5.0)),
)
