"""The page that shows every macro, for looking at them. Its data is made up."""

import asyncio
from datetime import UTC, datetime, timedelta

from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Html, PageCall, PageRoute
from ingest.dashboard.pages.component_graph import example_graph
from ingest.dashboard.pages.sample_form import SAMPLE, STORED, problem_of
from ingest.dashboard.presentation.states import LOOKS


async def show_components(call: PageCall) -> Html:
    """Shows all macros with made-up data."""
    return await _page(call, SAMPLE.show(call.reader, STORED))


async def submit_sample(call: PageCall) -> Html:
    """Shows the body that the sample form makes. It stores nothing."""
    view = SAMPLE.read(call.reader, call.form, STORED)
    problem = problem_of(view.body) if view.is_complete else None
    return await _page(call, view if problem is None else view.with_problem(problem))


async def _page(call: PageCall, form: FormView) -> Html:
    now = datetime.now(UTC)
    moments = [now - timedelta(seconds=seconds) for seconds in (0, 42, 400, 86400 * 3)]
    payload = '{"from": "5511999990000", "id": 9223372036854775807, "text": "<script>alert(1)</script> \u202eabc"}'
    wave = [3, 4, 8, 2, 0, 0, 5, 9, 12, 4, 3, 6]
    return call.render(
        "components.html",
        status=422 if form.errors or form.top else 200,
        form=form,
        moments=moments,
        states=sorted(LOOKS),
        payload=payload,
        wave=wave,
        gap=[1, None, 3, 4, None, 2],
        graph=await asyncio.to_thread(example_graph),
    )


ROUTES = (
    PageRoute("GET", "/_components", show_components),
    PageRoute("POST", "/_components/form", submit_sample),
)
