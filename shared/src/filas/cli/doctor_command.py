"""`filas doctor`: checks every process, store and queue, and reports what is wrong and what to do."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import click

from filas.cli.api_client import CommandFailed, from_environment
from filas.cli.credentials import WrongSetting, api_url
from filas.cli.output import as_json, show_json, show_table
from filas.cli.times import both
from filas.errors import FilasError, SettingsError, StoreUnavailable
from filas.observability import logs
from filas.queue.redis_client.connection import connect
from filas.repository.postgres.database import NOT_CONNECTED, Database
from filas.repository.schema import required_version
from filas.settings.process_settings import PROCESSES
from filas.settings.setting_groups import PostgresSettings, RedisSettings
from filas.settings.settings_reader import load, variables

NO_ANSWER = "does not answer: it is frozen, overloaded, or the network drops its packets"
TIMEOUT_S = 2.0
"""How long one store or process may take to answer."""

CHECK_S = 5.0
"""How long the command takes at most."""


@dataclass(frozen=True, slots=True)
class Part:
    """The state of one part. If `ok` is false, `detail` or a finding of the API states what is wrong."""

    part: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Examined:
    """The state of every part, and the findings of the API (`filas.models.findings.Finding`, as JSON)."""

    parts: list[Part]
    findings: list[dict[str, Any]] = field(default_factory=list)


API_PROCESS = "ingest admin"
PROCESS_PORTS = (
    ("ingest serve", "INGEST_SERVE_ADMIN_PORT"),
    (API_PROCESS, "INGEST_ADMIN_PORT"),
    ("ingest work", "INGEST_WORKER_ADMIN_PORT"),
    ("flow-runner", "FLOW_RUNNER_ADMIN_PORT"),
    ("notifier", "NOTIFIER_ADMIN_PORT"),
)


@click.command()
@click.option("--repair", is_flag=True, help="Repair what is safe to repair, and report what was done.")
@click.option("--dry-run", is_flag=True, help="With --repair: only report what would be repaired.")
@as_json
def doctor(repair: bool, dry_run: bool, as_json: bool) -> None:
    """Check every process, store and queue, and what fails or waits. Exit code 1 if something is wrong."""
    # The findings contain what the stores' modules would log.
    logs.configure("error", "console", "doctor")
    if repair:
        _repair(dry_run, as_json)
        return
    if dry_run:
        raise click.UsageError("--dry-run needs --repair")
    examined = examine(os.environ)
    failed = [one.part for one in examined.parts if not one.ok]
    if as_json:
        parts = [asdict(one) for one in examined.parts]
        show_json({"ok": not failed, "findings": examined.findings, "parts": parts})
    else:
        rows = [(one.part, "OK" if one.ok else "FAIL", one.detail) for one in examined.parts]
        show_table(("PART", "STATE", "DETAIL"), rows, nothing="")
        for finding in examined.findings:
            _show(finding)
    if failed:
        raise CommandFailed(f"failed: {', '.join(failed)}")


@click.command()
@click.argument("object_id", metavar="ID")
@as_json
def why(object_id: str, as_json: bool) -> None:
    """Explain why an object does not continue: an execution, event, message, conversation, job or channel."""
    answer = from_environment().get("doctor", id=object_id)
    if as_json:
        show_json(answer)
        return
    subject = answer["subject"]
    click.echo(f"{subject['kind']} {subject['id']}: {answer['sentence']}")
    if answer["remedy"]:
        click.echo(f"What to do: {answer['remedy']}")


def _show(finding: dict[str, Any]) -> None:
    """Prints a finding in full, because advice must not be cut."""
    since = f" (since {both(finding['since'])})" if finding["since"] else ""
    click.echo(f"\n{finding['severity'].upper()} {finding['code']}{since}: {finding['message']}")
    repairable = " (`filas doctor --repair` does it)" if finding["repairable"] else ""
    click.echo(f"  What to do: {finding['remedy']}{repairable}")


def _repair(dry_run: bool, as_json: bool) -> None:
    done = from_environment().post("doctor", "repair", body={"dryRun": dry_run})
    if as_json:
        show_json(done)
        return
    for one in done["repairs"]:
        subject = f" {one['subject']}" if one["subject"] else ""
        what = f"would have {one['action']}" if dry_run else f"{one['action']}: {one['count']}"
        click.echo(f"{one['code']}{subject}: {what}")
    if not done["repairs"]:
        click.echo("nothing to repair")


def examine(environ: Mapping[str, str]) -> Examined:
    """Checks every part, in the order in which an operator repairs them: stores first. Raises WrongSetting."""
    addresses = process_addresses(environ)
    checks: list[tuple[str, Callable[[], Examined]]] = [
        ("redis", lambda: Examined([_store("redis", lambda: _redis(environ))])),
        ("postgres", lambda: Examined([_store("postgres", lambda: _postgres(environ))])),
        *((name, partial(_process, name, address)) for name, address in addresses),
        ("API", lambda: _api(environ)),
    ]
    return _run_together(checks)


def _run_together(checks: Sequence[tuple[str, Callable[[], Examined]]]) -> Examined:
    """Runs all checks at the same time, each for CHECK_S at most. Returns what they found, in the order of the
    checks."""
    found: dict[str, Examined] = {}

    def run(part: str, check: Callable[[], Examined]) -> None:
        found[part] = check()

    # The process does not wait for daemon threads: a name server that does not answer cannot be given up.
    threads = [Thread(target=run, args=check, daemon=True) for check in checks]
    until = time.monotonic() + CHECK_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
    late = f"does not answer within {CHECK_S:g} s"
    examined = [found.get(part, Examined([Part(part, False, late)])) for part, _ in checks]
    findings = [one for each in examined for one in each.findings]
    return Examined([one for each in examined for one in each.parts], findings)


def process_addresses(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Returns each process with the address of its private listener, from the settings. Raises WrongSetting."""
    defaults = {variable.name: variable.default for kind in PROCESSES for variable in variables(kind)}
    host = environ.get("ADMIN_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    found = []
    for name, variable in PROCESS_PORTS:
        port = environ.get(variable) or defaults[variable] or ""
        if not port.isdecimal():
            raise WrongSetting(f"{variable}={port!r} is not a port")
        # FILAS_URL may name the API of another machine, or of another instance on this one.
        address = api_url(environ).rstrip("/") if name == API_PROCESS and environ.get("FILAS_URL") else ""
        found.append((name, address or f"http://{host}:{port}"))
    return found


def _process(name: str, address: str) -> Examined:
    return Examined([_state_of(name, address)])


def _state_of(name: str, address: str) -> Part:
    alive = _ask(f"{address}/livez")
    if isinstance(alive, str):
        return Part(name, False, f"{address} does not answer ({alive}): is it running?")
    status, document = alive
    if status != 200:
        return Part(name, False, f"{address}/livez answers {status}: another program may use its port")
    ready = _ask(f"{address}/readyz")
    if isinstance(ready, str):
        return Part(name, False, f"{address}/readyz does not answer ({ready})")
    status, document = ready
    if status == 200:
        return Part(name, True, f"ready at {address}")
    problems = document.get("problems") if isinstance(document, dict) else None
    if isinstance(problems, dict) and problems:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in problems.items())
        return Part(name, False, f"runs at {address}, but is not ready: {reasons}")
    return Part(name, False, f"{address}/readyz answers {status}")


def _ask(address: str) -> tuple[int, Any] | str:
    """Returns the status and the JSON of a GET, or the reason why there is none."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(address, timeout=TIMEOUT_S) as response:
            status, raw = response.status, response.read()
    except HTTPError as error:
        status, raw = error.code, error.read()
    except (URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, None


def _store(part: str, ask: Callable[[], str]) -> Part:
    try:
        return Part(part, True, ask())
    except (SettingsError, FilasError, OSError, TimeoutError) as error:
        return Part(part, False, str(error) or type(error).__name__)


def _redis(environ: Mapping[str, str]) -> str:
    settings = load(RedisSettings, environ)

    async def ping() -> None:
        redis = connect(settings)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await redis.command("PING")
        except TimeoutError:
            raise StoreUnavailable("redis", NO_ANSWER) from None
        finally:
            await redis.close()

    asyncio.run(ping())
    return f"answers at {settings.redis_host}:{settings.redis_port}"


def _postgres(environ: Mapping[str, str]) -> str:
    settings = load(PostgresSettings, environ)

    async def problem() -> str | None:
        database = Database(settings.database_url.reveal(), application_name="filas-doctor", max_size=1)
        database.start()
        try:
            await database.wait_ready(TIMEOUT_S)
        except StoreUnavailable as error:
            return NO_ANSWER if error.reason == NOT_CONNECTED else error.reason
        finally:
            await database.close()
        return None

    found = asyncio.run(problem())
    if found is not None:
        raise FilasError(found)
    return f"answers, schema {required_version()}"


def _api(environ: Mapping[str, str]) -> Examined:
    """Returns the findings of the API, and its parts without those that this command has checked itself."""
    try:
        found = from_environment(environ, timeout_s=CHECK_S - 1).get("doctor")
    except click.ClickException as error:
        return Examined([Part("API", False, error.message)])
    parts = [Part("API", True, "answers")]
    for one in found["parts"]:
        is_store = one["part"] in ("redis", "postgres")
        if not one["ok"] or not is_store:
            parts.append(Part(f"API: {one['part']}" if is_store else one["part"], one["ok"], one["detail"]))
    return Examined(parts, found["findings"])
