"""The messages about alerts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from filas.contract.identity import derived_id
from filas.messages.catalogue import Language, text
from filas.models.alerts import AlertFiring, AlertRule, AlertTarget
from filas.repository.alerts import AlertMessage


def messages_of(
    firing: AlertFiring, rule: AlertRule, targets: Sequence[AlertTarget], dashboard_url: str, language: Language
) -> list[AlertMessage]:
    """One message for each recipient. Their ids derive from the firing, so that no alert is announced twice."""
    event = "recovered" if firing.state == "resolved" else "fired"
    payload = {"type": "text", **_content(firing, rule, dashboard_url, language)}
    return [
        AlertMessage(
            id=derived_id("alert-message", str(firing.id), event, target.channel, target.to),
            channel_id=target.channel,
            recipient=target.to,
            payload=payload,
            idempotency_key=f"alert:{firing.id}:{event}:{target.channel}:{target.to}",
        )
        for target in targets
    ]


def _content(firing: AlertFiring, rule: AlertRule, dashboard_url: str, language: Language) -> dict[str, Any]:
    """The subject and the text: what happened, since when, how bad it is, the likely cause, and where to look."""
    detail = firing.detail
    sentence = str(detail.get("sentence", ""))
    place = f" ({firing.subject})" if firing.subject else ""
    if firing.state == "resolved":
        title = text(language, "alerts.recovered", rule=rule.id, place=place)
        lines = [title, text(language, "alerts.lasted", time=_time(firing.resolved_at), span=_span(firing))]
        lines.append(text(language, "alerts.was", sentence=sentence, peak=_number(firing.peak)))
        return {"subject": title.removesuffix("."), "text": "\n".join(lines)}
    since = detail.get("since")
    began = datetime.fromisoformat(since) if isinstance(since, str) else firing.pending_since
    title = text(language, f"alerts.fired-{firing.severity}", rule=rule.id, place=place)
    lines = [
        title,
        f"{sentence}.",
        text(language, "alerts.since", time=_time(began)),
        text(language, "alerts.value", value=_number(firing.value), threshold=_number(rule.threshold)),
    ]
    if detail.get("cause") and detail["cause"] != sentence:
        lines.append(text(language, "alerts.cause", cause=detail["cause"]))
    if detail.get("remedy"):
        lines.append(text(language, "alerts.remedy", remedy=detail["remedy"]))
    if dashboard_url:
        base, path = dashboard_url.rstrip("/").removesuffix("/dashboard"), str(detail.get("path", "/dashboard"))
        address = base + path
        lines.append(text(language, "alerts.page", address=address))
    return {"subject": title.removesuffix("."), "text": "\n".join(lines)}


def _time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(firing: AlertFiring) -> str:
    """How long the alert fired, such as `1 h 5 min`."""
    begin, end = firing.fired_at or firing.pending_since, firing.resolved_at or firing.pending_since
    seconds = max(int((end - begin) / timedelta(seconds=1)), 0)
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60, "s"))
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


def _number(value: float) -> str:
    return f"{value:g}" if value >= 1 else f"{100 * value:.0f} %"
