"""Expressions in a run: the locale, the time zone and the clock of the flow, and errors that name the field."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.flow_runner.harness import Harness, chain, flow, node, step

FLOW_SETTINGS = {"locale": "en-US", "timezone": "America/Sao_Paulo"}


def _body(**fields: Any) -> dict[str, Any]:
    return {"body": fields, "headers": {}, "queryParams": {}}


@pytest.mark.parametrize(
    ("settings", "source", "value"),
    [
        ({}, "{{ webhook.body.total | money: 'BRL' }}", "R$ 1.234,50"),
        (FLOW_SETTINGS, "{{ webhook.body.total | money: 'USD' }}", "$1,234.50"),
        ({}, "{{ webhook.body.at | date: '%B, %H:%M' }}", "novembro, 10:30"),
        (FLOW_SETTINGS, "{{ webhook.body.at | date: '%B, %H:%M' }}", "November, 07:30"),
    ],
)
async def test_templates_use_the_settings_of_their_flow(settings: dict[str, str], source: str, value: str) -> None:
    row = await Harness().run(
        chain(node("end", "end", output=source), settings=settings), webhook=_body(total=1234.5, at=1762338600)
    )
    assert row.output == value


async def test_now_is_the_time_of_the_visit() -> None:
    """In a test run, whose clock jumps over delays, `now` jumps too."""
    harness = Harness()
    at = harness.clock.now()
    row = await harness.run(chain(node("end", "end", output="{{ 'now' | date: '%F %T' }}")))
    assert row.output == f"{at:%Y-%m-%d %H:%M:%S}"


async def test_the_error_of_a_template_names_the_field_and_shows_the_template() -> None:
    output = {"a": [{"total": "Total: {{ webhook.body.total | money: 'BRL' }}"}]}
    row = await Harness().run(chain(node("end", "end", output=output)), webhook=_body(total="12 reais"))
    assert row.error is not None
    assert (row.error.kind, row.error.node_id) == ("template", "end")
    assert row.error.message == (
        'output.a[0].total: money: expected a number without thousands separators, such as 1234.5, found "12 reais" '
        "(in Total: {{ webhook.body.total | money: 'BRL' }})"
    )
    assert step(row, "end").error is not None


async def test_the_error_of_a_template_shows_no_secret() -> None:
    harness = Harness()
    harness.secrets.values["crm"] = "sk-" + "9" * 100
    row = await harness.run(chain(node("end", "end", output="{{ secrets.crm | append: '!' | money: 'BRL' }}")))
    assert row.error is not None
    assert "999" not in row.error.message
    assert 'found "[redacted]!"' in row.error.message


@pytest.mark.parametrize(
    ("settings", "data", "wanted"),
    [
        ({}, {"until": "2026-11-20T10:00:00"}, "2026-11-20T10:00:00+00:00"),
        ({"timezone": "America/Sao_Paulo"}, {"until": "2026-11-20T10:00:00"}, "2026-11-20T13:00:00+00:00"),
        ({"timezone": "Asia/Tokyo"}, {"until": "2026-11-20 10:00", "timezone": "America/Sao_Paulo"}, "13:00:00+00:00"),
        ({}, {"until": "2026-11-20", "timezone": "America/Sao_Paulo"}, "2026-11-20T03:00:00+00:00"),
        ({"timezone": "Asia/Tokyo"}, {"until": "2026-11-20T10:00:00-03:00"}, "2026-11-20T13:00:00+00:00"),
        ({"timezone": "Asia/Tokyo"}, {"until": "2026-11-20T10:00:00Z"}, "2026-11-20T10:00:00+00:00"),
        ({"timezone": "America/Sao_Paulo"}, {"until": "{{ webhook.body.at }}"}, "2026-11-20T13:00:00+00:00"),
        ({}, {"until": "{{ webhook.body.ms }}"}, "2026-11-20T10:00:00+00:00"),
        ({}, {"until": "{{ webhook.body.br | parse_date: '%d/%m/%Y' }}"}, "2026-11-20T00:00:00+00:00"),
        ({"timezone": "America/Sao_Paulo"}, {"cron": "0 9 20 11 *"}, "2026-11-20T12:00:00+00:00"),
    ],
)
async def test_until_without_an_offset_is_in_the_time_zone(
    settings: dict[str, Any], data: dict[str, str], wanted: str
) -> None:
    body = _body(at="2026-11-20 10:00", ms=1795168800000, br="20/11/2026")
    harness = Harness()
    harness.clock.advance((datetime(2026, 11, 15, tzinfo=UTC) - harness.clock.now()).total_seconds())
    row = await harness.run(chain(node("wait", "delay", **data), settings=settings), webhook=body)
    assert step(row, "wait").output["until"].endswith(wanted)


async def test_until_never_exchanges_day_and_month() -> None:
    row = await Harness().run(
        chain(node("wait", "delay", until="{{ webhook.body.at }}")), webhook=_body(at="05/11/2026")
    )
    assert row.error is not None
    assert 'parse_date: "%d/%m/%Y"' in row.error.message


@pytest.mark.parametrize(
    ("settings", "rule", "handle"),
    [
        ({}, {"operator": "contains", "value": "oi"}, "true"),
        ({}, {"operator": "contains", "value": "oi", "exact": True}, "false"),
        ({}, {"variable": "{{ webhook.body.total }}", "operator": "greater-than", "value": 10}, "true"),
        (
            {"locale": "en-US"},
            {"variable": "{{ webhook.body.total }}", "operator": "greater-than", "value": 10},
            "false",
        ),
        (
            {"locale": "en-US"},
            {"variable": "{{ webhook.body.total }}", "operator": "greater-than", "value": 10, "locale": "pt-BR"},
            "true",
        ),
    ],
)
async def test_a_rule_reads_texts_by_its_fields_and_the_locale(
    settings: dict[str, str], rule: dict[str, Any], handle: str
) -> None:
    rule = {"variable": "{{ webhook.body.text }}", **rule}
    row = await Harness().run(
        flow(node("is", "condition", rules=[rule]), edges="start>is", settings=settings),
        webhook=_body(text="Oi, tudo bem?", total="10,5"),
    )
    assert step(row, "is").handle == handle
