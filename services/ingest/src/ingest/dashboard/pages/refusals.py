"""The pages of refusals: groups by webhook and reason, a list, and one refused request with what was sent."""

import base64
from typing import Any, Final

from ingest.dashboard.page_types import Download, Html, Live, PageCall, PageRoute

OPTIONS: Final = {
    "webhookId": "--webhook",
    "reason": "--reason",
    "status": "--status",
    "address": "--address",
    "path": "--path",
    "since": "--since",
    "until": "--until",
}
"""Each filter, with its option of `filas refusals list`."""

FILTERS: Final = tuple(OPTIONS)
STATUSES: Final = (400, 401, 403, 404, 405, 408, 413, 415, 429)
REASONS: Final = (
    "signature", "challenge", "unknown", "method", "not-json", "content-coding", "too-large", "rate-limit",
    "auth-failures", "address-limit", "malformed", "broken", "too-slow", "not-storable",
)  # fmt: skip
"""Each has a text `refusal-reasons.<reason>`. The names are those of the metric `filas_webhooks_total`."""

MOST_GROUPS: Final = 500


async def show_list(call: PageCall) -> Html:
    """Shows the refused requests that match, in groups and one by one."""
    chosen = call.filters(*FILTERS)
    groups = await call.api.part("listRefusalGroups", query=chosen)
    refusals = await call.api.part("listRefusals", query={**chosen, **call.filters("cursor")})
    is_empty = refusals.ok and not refusals.data and "cursor" not in call.query
    return call.render(
        "refusals/list.html",
        groups=groups,
        refusals=refusals,
        chosen=chosen,
        reasons=[(reason, reason) for reason in REASONS],
        statuses=[(str(status), str(status)) for status in STATUSES],
        options=tuple(part for name, value in chosen.items() for part in (OPTIONS[name], value)),
        others=await _without_one_filter(call, chosen) if is_empty else [],
    )


async def _without_one_filter(call: PageCall, chosen: dict[str, str]) -> list[tuple[str, str, int]]:
    """How many refusals match without one of the filters: (its name, the address, the number), without zeros."""
    found = []
    for name in chosen:
        rest = {other: value for other, value in chosen.items() if other != name}
        groups = await call.api.part("listRefusalGroups", query={**rest, "limit": MOST_GROUPS})
        count = sum(group.count for group in groups.data or ())
        if count:
            found.append((name, call.with_query(**{name: None}), count))
    return found


async def show_refusal(call: PageCall) -> Html:
    """Shows one refused request."""
    refusal = (await call.api.call("getRefusal", path={"id": call.path["id"]})).data
    return call.render("refusals/refusal.html", refusal=refusal)


async def download_body(call: PageCall) -> Download:
    """Returns the stored beginning of the body."""
    refusal: Any = (await call.api.call("getRefusal", path={"id": call.path["id"]})).data
    is_text = refusal.body_encoding == "utf-8"
    content = refusal.body.encode() if is_text else base64.b64decode(refusal.body)
    return Download(content, f"refusal-{refusal.id}.bin")


ROUTES = (
    PageRoute("GET", "/refusals", show_list, Live(every_s=5.0)),
    PageRoute("GET", "/refusals/{id}", show_refusal),
    PageRoute("GET", "/refusals/{id}/body", download_body),
)
