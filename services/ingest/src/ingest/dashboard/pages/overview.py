"""The overview: the pipeline as one picture, the findings of the doctor, and the last hour."""

from typing import Final

from ingest.dashboard.graph.shown_text import shortened
from ingest.dashboard.page_types import Html, Live, PageCall, PageRoute
from ingest.dashboard.pipeline.content import pipeline_of
from ingest.dashboard.pipeline.finding_places import anchor_of, cause_address
from ingest.dashboard.pipeline.hour_charts import charts_of
from ingest.dashboard.pipeline.placement import narrow, wide

MAX_FINDINGS: Final = 20


async def show_overview(call: PageCall) -> Html:
    """Shows the live figures. They come from the snapshot of the process, so this page needs no store to answer."""
    snapshot = await call.snapshot()
    pipeline = pipeline_of(snapshot)
    return call.render(
        "overview/page.html",
        snapshot=snapshot,
        pipeline=pipeline,
        pictures=(wide(pipeline), narrow(pipeline)),
        charts=None if snapshot.hour.value is None else charts_of(snapshot.hour.value),
        findings=pipeline.findings[:MAX_FINDINGS],
        more_findings=len(pipeline.findings[MAX_FINDINGS:]),
        shortened=shortened,
        anchor_of=anchor_of,
        cause_address=cause_address,
    )


ROUTES = (PageRoute("GET", "/", show_overview, Live(every_s=1.0, reads_stores=False, has_moments=True)),)
