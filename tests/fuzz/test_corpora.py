"""The kept corpora of the fuzz targets raise nothing, and each module that parses what comes from outside has a target.

`make fuzz` changes these inputs and looks for others (docs/operations/proof.md).
"""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType

import pytest

from ingest.providers.known_providers import PROVIDERS
from ingest.verify import auth_types
from notifier.channels.channel_types import CHANNEL_TYPES
from tests.fuzz import target as targets
from tests.fuzz.__main__ import FOUND, MAX_KEPT_BYTES, MAX_KEPT_FILE

OUTSIDE_FACING = (
    "filas.channels",
    "filas.contacts",
    "filas.contract.bounded_json",
    "filas.contract.event_envelope",
    "filas.contract.storable_text",
    "filas.crypto.resume_tokens",
    "filas.crypto.signed_values",
    "filas.crypto.standard_webhooks",
    "filas.decoding",
    "filas.flows.definition",
    "filas.flows.expressions",
    "filas.flows.imports",
    "filas.flows.regular_expressions",
    "filas.flows.templates",
    "filas.flows.timing.cron_meaning",
    "filas.flows.timing.moments",
    "filas.flows.written_numbers",
    "filas.outbound.client",
    "filas.outbound.retry_after",
    "filas.queue.job_format",
    "filas.repository.postgres.paging",
    "filas.repository.search.event_words",
    "filas.settings",
    "filas.tracing.traceparent",
    "flow_runner.nodes.response_body",
    "ingest.api.definitions.channel_fields",
    "ingest.api.definitions.schedule_fields",
    "ingest.api.routing.body_errors",
    "ingest.api.routing.identifiers",
    "ingest.api.routing.request_parsing",
    "ingest.dashboard.definition_forms",
    "ingest.dashboard.flash",
    "ingest.dashboard.live_pages",
    "ingest.dashboard.pages",
    "ingest.dashboard.preferences",
    "ingest.dashboard.sessions",
    "ingest.decoding",
    "ingest.event.body_parsing",
    "ingest.event.conversation",
    "ingest.event.event_filter",
    "ingest.forms",
    "ingest.http.answers",
    "ingest.http.client_address",
    "ingest.http.connection_handler",
    "ingest.http.listener",
    "ingest.http.message_framing",
    "ingest.http.request",
    "ingest.http.request_receiver",
    "ingest.http.request_smuggling",
    "ingest.providers",
    "ingest.receive.acceptor",
    "ingest.receive.address_limits",
    "ingest.receive.duplicate_keys",
    "ingest.receive.duplicate_recorder",
    "ingest.receive.handler",
    "ingest.receive.preliminary_answers",
    "ingest.receive.rate_limit",
    "ingest.receive.refusal_recorder",
    "ingest.receive.refused_content",
    "ingest.receive.request_events",
    "ingest.receive.untrusted_proxies",
    "ingest.receive.webhook_cache",
    "ingest.resume",
    "ingest.verify",
    "notifier.channels.email",
    "notifier.channels.email_addresses",
    "notifier.channels.http",
    "notifier.channels.message_content",
    "notifier.channels.provider_call",
    "notifier.channels.provider_explanation",
    "notifier.channels.slack",
    "notifier.channels.smtp_connections",
    "notifier.channels.telegram",
    "notifier.channels.twilio",
    "notifier.channels.whatsapp",
)
"""Packages and modules that parse what comes from outside. A new module in one of these packages needs a target."""

NOT_PARSERS = {
    "filas.flows.definition.editor_hints": "texts for the editor",
    "filas.flows.definition.json_schema": "the published schema",
    "ingest.dashboard.pages.analytics.views": "which charts a view has",
    "ingest.dashboard.pages.component_graph": "a page for development",
    "ingest.dashboard.pages.components": "a page for development",
    "ingest.dashboard.pages.sample_form": "a page for development",
    "ingest.dashboard.sessions.first_page": "a query of the stores",
}
"""Modules of these packages that read nothing from outside, with what they have instead."""


@pytest.mark.parametrize("name", targets.names())
def test_the_kept_inputs_raise_nothing(name: str) -> None:
    """Each was written by hand, or was found by the fuzzer and reaches code that the others do not reach."""
    target = targets.load(name)
    assert target.kept
    for path in target.kept:
        target.fuzz(path.read_bytes())


@pytest.mark.parametrize("name", targets.names())
def test_any_text_is_an_input(name: str) -> None:
    """A target has no form of input that it does not accept."""
    target = targets.load(name)
    for data in (b"", b"\n", b"\xff\xfe\n\x00\n\xff", b"x\n{}", b"\n\n[" * 100):
        target.fuzz(data)


@pytest.mark.parametrize("name", targets.names())
def test_what_is_kept_is_small(name: str) -> None:
    sizes = [path.stat().st_size for path in targets.kept_files(name) if path.name.startswith(FOUND)]
    assert sum(sizes) <= MAX_KEPT_BYTES
    assert all(size <= MAX_KEPT_FILE for size in sizes)


def test_each_corpus_has_a_target() -> None:
    assert sorted(path.name for path in targets.CORPORA.iterdir()) == targets.names()


def test_each_scheme_has_an_accepted_request() -> None:
    """Of the signatures, the corpus has a request of each scheme, by the name in its first line."""
    named = {targets.first_line(path.read_bytes())[0] for path in targets.kept_files("signatures")}
    assert set(auth_types.CONFIGURATIONS) <= named
    bodies = {targets.first_line(path.read_bytes())[0] for path in targets.kept_files("providers")}
    assert set(PROVIDERS) <= bodies


def test_each_channel_type_has_a_delivery() -> None:
    """Of `console`, nothing is read; `email` has a target of its own, `mail_servers`."""
    named = {targets.first_line(path.read_bytes())[0].partition(" ")[0] for path in targets.kept_files("deliveries")}
    assert set(CHANNEL_TYPES) - {"console", "email"} <= named


@pytest.mark.starts_processes
def test_each_outside_facing_module_has_a_target() -> None:
    """The kept inputs enter a function of each module. If this fails for a new module, write a target for it or extend
    one (`tests/fuzz/target.py`), with inputs in its corpus."""
    wanted = {module.__name__ for module in _modules() if _has_functions(module)} - set(NOT_PARSERS)
    # In a process of its own: an input of the dashboard ends its session, so other tests of this file change the
    # result.
    command = "from tests.fuzz import test_corpora; print(*test_corpora.modules_entered(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    assert sorted(wanted - set(done.stdout.splitlines())) == []


def modules_entered() -> set[str]:
    """The modules of which a function runs while the kept inputs of all targets are repeated."""
    return _modules_entered(_replay_all)


def _replay_all() -> None:
    for target in map(targets.load, targets.names()):
        for path in target.kept:
            target.fuzz(path.read_bytes())


def _modules_entered(work: Callable[[], None]) -> set[str]:
    """The modules of which a function runs during `work`."""
    seen: set[CodeType] = set()
    names: set[str] = set()

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code not in seen:
            seen.add(frame.f_code)
            if frame.f_code.co_name != "<module>":
                names.add(frame.f_globals.get("__name__", ""))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return names


def _modules() -> Iterator[ModuleType]:
    for name in OUTSIDE_FACING:
        module = importlib.import_module(name)
        yield module
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            yield importlib.import_module(found.name)


def _has_functions(module: ModuleType) -> bool:
    """Whether the module has a function or a method of its own, other than those of an interface."""
    for one in vars(module).values():
        if getattr(one, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(one) or hasattr(one, "__wrapped__"):
            return True
        is_interface = not inspect.isclass(one) or getattr(one, "_is_protocol", False)
        if not is_interface and any(inspect.isfunction(method) for method in vars(one).values()):
            return True
    return False
