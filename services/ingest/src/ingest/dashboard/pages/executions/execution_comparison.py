"""A replay beside its original: both paths on the graph, and the steps side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from filas.models.executions import ExecutionWithSteps, StepRecord
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageCall
from ingest.dashboard.pages.executions.execution_page import flow_of, get_execution, icons
from ingest.dashboard.pages.executions.execution_picture import PictureOrder, node_names, picture_of
from ingest.dashboard.pages.executions.relative_links import query_links

MAX_COMPARED: Final = 300
"""How many steps of each execution are compared."""

ROWS: Final = 40
MOST: Final = 14
"""How many nodes each of the two pictures shows."""


@dataclass(frozen=True, slots=True)
class StepPair:
    """A step of the original and the one of the replay that corresponds to it. One of them may be missing."""

    original: StepRecord | None
    replay: StepRecord | None

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs: `missing`, `status`, `handle`, `input`, `output`, `error`."""
        one, other = self.original, self.replay
        if one is None or other is None:
            return ("missing",)
        names = ("status", "handle", "input", "output", "error")
        return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def pairs_of(original: Sequence[StepRecord], replay: Sequence[StepRecord]) -> list[StepPair]:
    """The steps of the two executions side by side: those of the same nodes in the same order beside one another."""
    first, second = original[:MAX_COMPARED], replay[:MAX_COMPARED]
    matcher = SequenceMatcher(None, [s.node_id for s in first], [s.node_id for s in second], autojunk=False)
    pairs: list[StepPair] = []
    for kind, a, a_end, b, b_end in matcher.get_opcodes():
        if kind == "equal":
            pairs += [StepPair(one, other) for one, other in zip(first[a:a_end], second[b:b_end], strict=True)]
        else:
            pairs += [StepPair(one, None) for one in first[a:a_end]]
            pairs += [StepPair(None, other) for other in second[b:b_end]]
    return pairs


async def compare(call: PageCall) -> Html:
    """Shows a replay beside its original. `pair` selects the row whose inputs and outputs are shown."""
    replay = await get_execution(call, call.path["id"])
    if replay.replay_of is None:
        raise ApiProblem(404, "Not found", "the execution is no replay, so there is nothing to compare it with")
    original = await get_execution(call, str(replay.replay_of))
    pairs = pairs_of(original.steps, replay.steps)
    chosen = _chosen(pairs, call.query.get("pair"))
    flow = await flow_of(call, replay)
    return call.render(
        "executions/compare.html",
        sides=(
            ("original", original, await _svg(call, original, "a")),
            ("replay", replay, await _svg(call, replay, "b")),
        ),
        pairs=list(enumerate(pairs[:ROWS])),
        total=len(pairs),
        query_of=query_links(call),
        chosen=chosen,
        pair=pairs[chosen] if pairs else None,
        names=node_names(flow.data.definition if flow.ok else {}),
    )


def _chosen(pairs: Sequence[StepPair], wanted: str | None) -> int:
    """The selected row: by default the first that differs."""
    if wanted is not None and wanted.isascii() and wanted.isdigit() and int(wanted) < min(len(pairs), ROWS):
        return int(wanted)
    return next((number for number, pair in enumerate(pairs[:ROWS]) if pair.differences), 0)


async def _svg(call: PageCall, execution: ExecutionWithSteps, prefix: str) -> object:
    flow = await flow_of(call, execution)
    if not flow.ok:
        return None
    order = PictureOrder(
        definition=flow.data.definition,
        created_at=flow.data.created_at,
        execution=execution,
        most=MOST,
        prefix=prefix,
        icons=icons(),
        links=f"/dashboard/executions/{execution.id}",
    )
    return await picture_of(call, order)
