"""The alerts of a good run, and ways in which each check of them is broken once. Used by `test_checker`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from tests.chaos.alerts import WINDOW_S, Alerts, Firing
from tests.chaos.evidence import Evidence
from tests.chaos.outside import Arrival
from tests.chaos.schedule import Fault
from tests.chaos.senders import Sent

FIRST_S: Final = 100.0
"""When the flow `sour` begins to fail, in seconds since the beginning."""


def add_alerts(evidence: Evidence) -> None:
    """A flow `sour` that fails five times, one alert for each rule about it, and their messages."""
    like = evidence.executions[0]
    at = [evidence.began + timedelta(seconds=FIRST_S + number) for number in range(5)]
    evidence.executions = [
        *(
            replace(
                like,
                id=f"sour-{number}",
                event_id=None,
                flow_id="sour",
                status="failed",
                queued_at=when,
                started_at=when,
                ended_at=when,
            )
            for number, when in enumerate(at)
        ),
        *evidence.executions,
    ]
    over = at[0] + timedelta(seconds=WINDOW_S + 4)
    firings = [
        Firing(rule, rule, "sour", "resolved", 5.0, at[4], at[4], over, over)
        for rule in ("chaos-failures", "chaos-share")
    ]
    keys = [_key(one, event) for one in firings for event in ("fired", "recovered")]
    evidence.observed.alerts = Alerts(
        firings, [(key, "delivered") for key in keys], [Arrival(1.0, "/alerts", key, b"{}", True) for key in keys]
    )


def _key(firing: Firing, event: str) -> str:
    return f"alert:{firing.id}:{event}:alerts:operator"


def _alerts(evidence: Evidence) -> Alerts:
    assert evidence.observed.alerts is not None
    return evidence.observed.alerts


def _change(evidence: Evidence, number: int, **changes: object) -> None:
    alerts = _alerts(evidence)
    firings = list(alerts.firings)
    firings[number] = replace(firings[number], **changes)  # type: ignore[arg-type] # values of several types
    evidence.observed.alerts = replace(alerts, firings=firings)


def _fire(evidence: Evidence, rule: str, subject: str = "", *, after_s: float = 300.0) -> None:
    """One more alert, which was announced."""
    alerts, at = _alerts(evidence), evidence.began + timedelta(seconds=after_s)
    firing = Firing("more", rule, subject, "resolved", 1.0, at, at, at, at)
    keys = [_key(firing, event) for event in ("fired", "recovered")]
    evidence.observed.alerts = Alerts(
        [*alerts.firings, firing],
        [*alerts.messages, *((key, "delivered") for key in keys)],
        [*alerts.arrivals, *(Arrival(1.0, "/alerts", key, b"{}", True) for key in keys)],
    )


def _fire_for_one_failure(evidence: Evidence) -> None:
    """A flow fails less often than the rule asks for."""
    evidence.executions = [*evidence.executions, replace(evidence.executions[0], id="once", flow_id="sweet")]
    _fire(evidence, "chaos-failures", "sweet", after_s=FIRST_S + 5)


def _without_alert_of_a_channel(evidence: Evidence) -> None:
    evidence.faults = [Fault(1, "receiver-down", "messages", 20.0, 8.0)]
    evidence.sent = [
        *evidence.sent,
        *(Sent(f"d-{n}", 1, "order", "messages-a", event_id=f"d-{n}", accepted_s=21.0) for n in range(10)),
    ]


BROKEN: Final[Mapping[str, list[Callable[[Evidence], None]]]] = {
    "alerts_fired_for_what_happened": [
        lambda found: setattr(found.observed, "alerts", Alerts([], [], [])),
        lambda found: _change(found, 0, subject="sweet"),
        lambda found: _change(found, 1, fired_at=found.began + timedelta(seconds=FIRST_S + 90)),
        lambda found: setattr(found, "faults", [Fault(1, "store-full", "redis", 20.0, 7.0)]),
        _without_alert_of_a_channel,
    ],
    "alerts_fired_for_nothing_else": [
        lambda found: _fire(found, "chaos-redis"),
        lambda found: _fire(found, "chaos-channel", "alerts"),
        lambda found: _fire(found, "chaos-late", "flow"),
        lambda found: _fire(found, "no-worker", "flow"),
        _fire_for_one_failure,
        lambda found: _fire(found, "chaos-failures", "sour"),
    ],
    "alerts_are_announced_once": [
        lambda found: _change(found, 0, resolved_at=None),
        lambda found: _change(found, 0, id="other"),
        lambda found: setattr(found.observed, "alerts", replace(_alerts(found), arrivals=_alerts(found).arrivals[1:])),
        lambda found: setattr(
            found.observed,
            "alerts",
            replace(_alerts(found), arrivals=[*_alerts(found).arrivals, Arrival(2.0, "", "unknown", b"", True)]),
        ),
        lambda found: setattr(
            found.observed,
            "alerts",
            replace(
                _alerts(found),
                arrivals=[*_alerts(found).arrivals, replace(_alerts(found).arrivals[0], body=b"other")],
            ),
        ),
        lambda found: _change(found, 1, rule_id="chaos-failures"),
    ],
}
