"""What alert rules measure while a store does not answer."""

from typing import Any, cast

import pytest

from filas.doctor.figures import Figures
from filas.doctor.stores import DoctorStores
from filas.models.alerts import AlertRule
from filas.models.findings import Examination, Finding, Part, Subject


def figures(code: str | None, *, redis_ok: bool) -> Figures:
    """The figures of an examination with one finding of Redis, or none."""
    subject = Subject(kind="redis")
    found = [Finding(code=code, severity="critical", subject=subject, message="no answer", remedy="")] if code else []
    parts = [Part(part="redis", ok=redis_ok, detail=""), Part(part="postgres", ok=True, detail="")]
    examined = Examination(ok=redis_ok, findings=found, parts=parts, timestamp="")
    return Figures(cast("DoctorStores", None), examined)


@pytest.mark.parametrize(
    ("code", "redis_ok", "rule", "observed"),
    [
        ("redis-unavailable", False, "redis-unavailable", [""]),
        (None, True, "redis-unavailable", []),
        ("redis-unavailable", False, "redis-version", None),
        ("check-too-slow", False, "redis-unavailable", None),
        ("redis-version", True, "redis-version", [""]),
    ],
)
async def test_a_rule_about_a_finding(code: str | None, redis_ok: bool, rule: str, observed: Any) -> None:
    """That Redis is unavailable is known; what only Redis can state is unknown then."""
    found = await figures(code, redis_ok=redis_ok).measure(AlertRule(id="r", metric="finding", code=rule))
    assert (None if found is None else list(found)) == observed
