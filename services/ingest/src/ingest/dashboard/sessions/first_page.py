"""The page to which a sign-in link leads: the newest execution of the demo flow, so that a newcomer sees at once what
Filas did with the first webhook."""

from typing import Final

from filas.errors import StoreUnavailable
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from ingest.dashboard.sessions import return_path

DEMO_FLOW: Final = "demo"
"""The flow that `filas up` loads."""


async def newest_demo_execution(executions: ExecutionSearch) -> str:
    """Returns the path of its page; that of the overview if there is none yet, or while Postgres is unavailable."""
    try:
        page = await executions.search(ExecutionFilter(flow_id=DEMO_FLOW), limit=1)
    except StoreUnavailable:
        return return_path.OVERVIEW
    return f"{return_path.ROOT}/executions/{page.items[0].id}" if page.items else return_path.OVERVIEW
