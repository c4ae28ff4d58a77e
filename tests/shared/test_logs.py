"""The log: one line per event in both formats, without secrets."""

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.errors import StoreUnavailable
from filas.observability import logs
from filas.settings.value_types import Secret

LEVELS: dict[str, int] = {}


def written(fmt: str, *, level: str = "info") -> tuple[io.StringIO, logs.Logger]:
    stream = io.StringIO()
    logs.configure(level, fmt, "notifier", stream)  # type: ignore[arg-type]
    return stream, logs.get_logger("tests")


def test_json_is_one_object_per_line() -> None:
    stream, log = written("json")
    log.info("job.retry_scheduled", job_id="j-1", delay_s=2)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "job.retry_scheduled",
        "level": "info",
        "service": "notifier",
        "logger_name": "tests",
        "job_id": "j-1",
        "delay_s": 2,
    }


def test_a_console_line_has_time_level_service_event_and_fields() -> None:
    stream, log = written("console")
    log.warning("job.retry_scheduled", job_id="j-1", reason="no answer", odd="a\nb")
    pattern = (
        r"\d\d:\d\d:\d\d\.\d{3} warning notifier +job\.retry_scheduled job_id=j-1 reason=\"no answer\" odd='a\\nb'\n"
    )
    assert re.fullmatch(pattern, stream.getvalue())


def test_events_below_the_level_are_not_written() -> None:
    stream, log = written("json", level="warning")
    log.info("job.started")
    logging.getLogger("a.library").info("hello")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_unavailable_store_is_one_line_without_a_stack_trace(fmt: str) -> None:
    stream, log = written(fmt)
    try:
        raise StoreUnavailable("redis", "connection refused")
    except StoreUnavailable as error:
        log.error("job.given_back", exc_info=error)
        log.exception("job.given_back")
    assert len(stream.getvalue().splitlines()) == 2
    assert "redis: connection refused" in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_unexpected_error_has_a_stack_trace(fmt: str) -> None:
    stream, log = written(fmt)
    try:
        LEVELS["absent"]
    except KeyError:
        log.exception("job.failed", job_id="j-1")
    assert "Traceback" in stream.getvalue()
    assert "KeyError: 'absent'" in stream.getvalue()


def test_secrets_are_hidden() -> None:
    stream, log = written("json")
    log.info("channel.loaded", password="pa55word", key=Secret("pa55word"), authorization="Bearer pa55word")
    assert "pa55word" not in stream.getvalue()


def test_context_bound_in_a_task_is_in_the_lines_of_the_task() -> None:
    stream, log = written("json")
    with logs.bound(job_id="j-1"):
        log.info("job.started")
    assert json.loads(stream.getvalue())["job_id"] == "j-1"


def test_the_innermost_value_is_logged_and_the_outer_one_after_its_block() -> None:
    stream, log = written("json")
    with logs.bound(job_id="j-1", queue="flows"):
        with logs.bound(job_id="j-2"):
            log.info("job.started")
        log.info("job.started", queue="own")
    log.info("job.started")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line.get("job_id"), line.get("queue")) for line in lines] == [
        ("j-2", "flows"),
        ("j-1", "own"),
        (None, None),
    ]


def test_the_log_is_as_before_after_it_was_redirected() -> None:
    stream, log = written("json")
    with logs.redirected():
        logs.configure("error", "json", "another", io.StringIO())
        log.warning("job.lost")
        logging.getLogger("a.library").warning("lost, too")
    log.warning("job.started")
    logging.getLogger("a.library").warning("hello")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["job.started", "library.message"]


def test_events_of_other_libraries_have_the_same_format() -> None:
    stream, _ = written("json")
    logging.getLogger("a.library").warning("three of %s", "four")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["message"], line["logger_name"]) == ("library.message", "three of four", "a.library")


@given(st.dictionaries(st.sampled_from(["job_id", "reason", "error"]), st.text(st.characters())))
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_every_value_is_written_in_one_line(fmt: str, fields: dict[str, str]) -> None:
    stream, log = written(fmt)
    log.info("odd.values", **fields)
    assert len(stream.getvalue().split("\n")) == 2


def test_a_stream_that_rejects_writes_does_not_stop_the_process() -> None:
    """The lines are lost. A closed stream behaves like a full disk or a pipe without a reader."""
    stream, log = written("json")
    stream.close()
    log.warning("worker.resumed")
    logging.getLogger("a.library").error("something")
