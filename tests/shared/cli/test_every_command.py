"""Every route of the API has a command, and every command is run here with its output."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import pytest

from filas.cli import flow_test_command, program
from filas.cli.lazy_commands import LazyGroup
from ingest.api.routes import ROUTES
from tests.ingest.api.conftest import api
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_conversations import conversation
from tests.ingest.api.test_failures import BROKEN, failed
from tests.ingest.api.test_history import with_messages
from tests.ingest.api.test_redrive import dead
from tests.ingest.api.test_refusal_routes import refusal, stored
from tests.shared.cli.inside import inside, recorded
from tests.shared.flows.imports.typebots import said, typebot

__all__ = ["api"]

WITHOUT_API = {
    "doctor": "test_commands.py",
    "flows check": "test_flow_commands.py",
    "login": "test_key_commands.py",
    "logout": "test_key_commands.py",
    "logs": "test_live_commands.py",
    "migrate": "test_commands.py",
    "roles create": "tests/shared/repository/test_roles.py",
    "tail": "test_live_commands.py",
    "up": "tests/local",
}
"""Commands that are not run here, and the tests that run them."""

WITHOUT_JSON = {"login", "logout", "logs", "migrate", "roles create", "up"}
"""Commands that have no data to print as JSON."""

CASE = {"request": {"replies": ["1"]}, "expect": {"status": "succeeded"}}
CONSOLE = {"type": "console"}
SIGNED = {"flowId": "greeting", "auth": {"type": "github", "secrets": ["first"]}}
ALERT = {"metric": "dead-letters", "threshold": 5, "to": [{"channel": "mail", "to": "a@example.com"}]}
DAILY = {"flowId": "greeting", "cron": "0 9 * * *"}
EVENT = [{"webhookId": "shop", "body": {"name": "Ana"}}]
OTHER = typebot(said("Oi"))
UUID = r"[0-9a-f-]{36}"


@dataclass(frozen=True)
class Example:
    """A command, a pattern for its whole output, its input, and its exit code. `{name}` is the id of a row."""

    command: str
    out: str
    given: Any = None
    code: int = 0


@dataclass
class Rows:
    """The ids of the rows that the examples name."""

    ids: dict[str, str] = field(default_factory=dict)

    def text(self, template: str) -> str:
        """The template with the ids."""
        for name, value in self.ids.items():
            template = template.replace(f"<{name}>", value)
        return template


EXAMPLES = [
    Example("flows apply - --id greeting", "greeting version 1 unchanged", FLOW),
    Example("flows apply - --id greeting", "greeting version 2 published", FLOW | {"name": "Next"}),
    Example("flows list", r"ID +NAME +NEWEST +PUBLISHED +CHANGED\ngreeting +Next +2 +2 +.*(ago|now)"),
    Example("flows show greeting", r'(?s)\{.*"version": 2.*'),
    Example("flows export greeting --version 1", r'(?s).*"name": "Greeting".*'),
    Example("flows versions greeting", r"VERSION +NAME +PUBLISHED +CREATED +BY\n +2 +Next +yes .*\n +1 +Greet.*"),
    Example("flows check - --id greeting --server", "-: OK", FLOW),
    Example("flows check - --id greeting --names hello", r"(?s)NAME +KIND +WHAT\nnodes.start.output +node .*", FLOW),
    Example("flows diff - --id greeting", '~ name: "Next" → "Greeting"', FLOW, 1),
    Example("flows compare greeting 1 2", '~ name: "Greeting" → "Next"', code=1),
    Example("flows compare greeting 2 2", "versions 2 and 2 of greeting are equal"),
    Example("flows drafts save greeting -", r"the draft of greeting is saved as revision \d+", FLOW),
    Example("flows drafts show greeting", r'(?s).*"savedBy": "admin token".*'),
    Example("flows drafts delete greeting", "the draft of greeting deleted"),
    Example("flows tests save greeting menu -", "the test menu of greeting is saved", CASE),
    Example("flows tests list greeting", r"NAME +EXPECTS +BY +SAVED\nmenu +status +admin token .*"),
    Example("flows tests export greeting menu", r'(?s).*"name": "menu",.*"status": "succeeded".*'),
    Example("flows tests delete greeting menu", "the test menu of greeting deleted"),
    Example("flows test greeting --saved", "No saved tests"),
    Example("flows rollback greeting 1", "greeting version 3 is published; it equals 1"),
    Example("flows rollback greeting 9", "", code=1),
    Example("flows import - --from typebot", r'(?s)\{.*"name": "Test".*', OTHER),
    Example("flows import - --from typebot --server --output /dev/null", r"Everything .*\n1 blocks: 1 .*", OTHER),
    Example("flows import - --from n8n", "", OTHER, 1),
    Example("flows schema", r'(?s).*"\$schema".*'),
    Example("flows test greeting", "", code=1),
    Example("flows uses greeting", "Nothing uses it, and it uses nothing"),
    Example("flows traffic greeting", r"(?s)NODE +VISITS .*\nstart +0 .*FROM +HANDLE +TO +COUNT\nstart +out +hello +0"),
    Example("channels apply mail -", r"mail \(console\) is stored", CONSOLE),
    Example("channels list", r"ID +TYPE +CIRCUIT +CHANGED\nmail +console +closed +.*"),
    Example("channels show mail", r'(?s).*"circuit": \{\s*"state": "closed".*'),
    Example("channels resume mail", "mail was not paused: 0 waiting messages are due now"),
    Example("channels test mail --to a@example.com", rf"notification {UUID} is queued; .*"),
    Example("webhooks apply signed -", "/webhooks/signed starts .*", SIGNED),
    Example("webhooks add-secret signed", "signed has 2 secrets", "second"),
    Example("webhooks remove-secret signed 0", "signed has 1 secrets"),
    Example("webhooks remove-secret signed 0", "", code=1),
    Example("webhooks delete signed", "signed deleted"),
    Example("webhooks apply shop -", "/webhooks/shop starts greeting at start", {"flowId": "greeting"}),
    Example("webhooks list", r"ID +PATH +METHODS +AUTH .*\nshop +/webhooks/shop +POST +none +greeting +yes"),
    Example("webhooks show shop", r'(?s).*"flowId": "greeting".*'),
    Example("events accept -", "1 accepted, 0 duplicates, 0 not accepted", EVENT),
    Example("events accept -", "0 accepted, 0 duplicates, 1 not accepted", [{"webhookId": "none", "body": 1}], 1),
    Example("events list --webhook shop", rf"ID +WEBHOOK +RECEIVED +STATUS +REASON\n{UUID} +shop +.*received +-"),
    Example("events show <event>", r'(?s).*"id": "<event>".*'),
    Example("events decoded <event>", r'(?s).*"kind": "json".*'),
    Example("events timeline <event>", r"(?s)AT +TOOK +WHAT +ERROR\n.*the webhook orders received POST.*"),
    Example("events replay <event>", r"enqueued as \{webhook-processing\}:.*"),
    Example("events replay <event> --body -", r"enqueued as \{webhook-processing\}:.*", {"name": "Bia"}),
    Example("events replay-all --dry-run", "2 match: 2 of orders\n2 would be replayed"),
    Example("schedules apply - --id daily", r"daily starts greeting next at .*", DAILY),
    Example("schedules preview - --count 2", r"TICK\n\S+T09:00:00\S*\n\S+T09:00:00\S*", DAILY),
    Example("schedules list", r"ID +FLOW +CRON .*\ndaily +greeting +0 9 \* \* \* +.* +yes +in .*"),
    Example("schedules show daily", r'(?s).*"nextRuns".*'),
    Example("schedules delete daily", "daily deleted"),
    Example("secrets apply token", "token is stored", "hush\n"),
    Example("secrets apply other --env SECRET_OTHER", "other is stored"),
    Example("secrets list", "NAME\nother\ntoken"),
    Example("secrets delete token", "token deleted"),
    Example("executions list --failed", rf"ID +FLOW +VERSION +QUEUED .*\n{UUID} +greeting +1 .*failed +http-.*"),
    Example("executions show <failed>", r'(?s).*"steps".*'),
    Example("executions timeline <failed>", r"(?s)AT .*the execution ended: failed.*http-status at crm.*"),
    Example("executions waiting", "Nothing waits"),
    Example("executions groups", r"FLOW +COUNT +FIRST +LAST +FINGERPRINT +ERROR\ngreeting +1 .*http-status:crm:.*"),
    Example("executions cancel <waiting>", "<waiting> is being cancelled"),
    Example("executions replay-all --dry-run", "1 match: 1 of greeting\n1 would be replayed"),
    Example("executions replay <failed>", f"replayed as {UUID}"),
    Example("executions replay <failed> --node hello --version 1", f"replayed as {UUID}"),
    Example("notifications list --status failed", r"ID +CHANNEL +TO +CREATED .*\n<undelivered> .*"),
    Example("notifications show <undelivered>", r'(?s).*"history".*'),
    Example("notifications retry <undelivered>", r"<undelivered> is enqueued as \{notifications\}:.*"),
    Example("notifications cancel <queued>", "<queued> is being cancelled"),
    Example("conversations list --contact 5511900000001", r"(?s)ID .*<conversation> +whatsapp +5511900000001 .*"),
    Example("conversations show <conversation>", "5511900000001 over whatsapp\nNo messages"),
    Example("search find +55 11 90000-0001", r"(?s)KIND .*conversation +<conversation> +whatsapp 5511900000001 .*"),
    Example("search find <conversation>", r"(?s)KIND .*conversation +<conversation> .*"),
    Example("search find nothing-has-this", r"Nothing has .nothing-has-this.*"),
    Example("search state", r"(?s)0 events in 0 segments; .*No process builds the index: start `ingest admin`"),
    Example("contacts show <contact>", r'(?s).*"address": "5511900000001".*'),
    Example("dead-letters list", r"ID +QUEUE +ATTEMPTS +FAILED +REPLAYED +ERROR\n(.*timeout: .*\n?){3}"),
    Example("dead-letters show <letter>", r'(?s).*"history".*'),
    Example("dead-letters groups --since 4000d", r"QUEUE +COUNT .*\nwebhook-processing +2 .*\nnotifications +1 .*"),
    Example("dead-letters replay-all --dry-run --queue webhook", "2 match: .*\n2 would be enqueued"),
    Example("dead-letters replay <letter>", r"enqueued as \{webhook-processing\}:.*"),
    Example("dead-letters delete <letter>", "<letter> deleted"),
    Example("dead-letters restore <letter>", "<letter> restored"),
    Example("dead-letters delete-all --queue notifications --dry-run", "1 would be deleted"),
    Example("dead-letters delete-all --queue webhook --until 1d", rf"1 deleted; to restore them: filas .*-all {UUID}"),
    Example("dead-letters restore-all 01990f3c-5d2e-7000-8000-3f2a9c1d0e4b", "0 restored"),
    Example("replays start executions --flow greeting --rate 5", rf"{UUID} runs: \d match. filas replays show {UUID}"),
    Example("replays list", rf"ID +KIND +STATUS .*\n<run> .*running .*\n{UUID} .*|ID +KIND .*\n({UUID} .*\n?){{2}}"),
    Example("replays show <run>", r'(?s).*"failedAgain": 0.*'),
    Example("replays rate <run> --rate 7", "<run> replays 7 rows a second"),
    Example("replays stop <run>", "<run> is stopped after 0"),
    Example("queues list", r"QUEUE +WAITING +ACTIVE .*\nwebhook-processing +.*0 of 0.*\nflow-.*\nnotif.*"),
    Example("queues stats", r"(?s)QUEUE +WAITING .*all .*Executions of the last 24 hours: .*"),
    Example("stats", r"(?s)QUEUE +WAITING .*all .*Executions of the last 24 hours: .*"),
    Example("queues pause flow", "flow-processing paused"),
    Example("queues pause flow-processing", "flow-processing was paused already"),
    Example("queues resume flow-processing", "flow-processing resumed"),
    Example("queues clean --queue notifications", "0 removed"),
    Example("jobs list webhook delayed", r"ID +FUNCTION +STATE +ATTEMPTS +SINCE +DUE +ERROR\nlater +.*in 59 min +-"),
    Example("jobs show later", r'(?s).*"state": "delayed".*'),
    Example("jobs promote later", "later due now"),
    Example("jobs retry later", "later enqueued again"),
    Example("jobs cancel later", "later cancelled"),
    Example("alerts apply mine -", "mine is stored", ALERT),
    Example("alerts list", r"(?s)ID +METRIC +.*mine +dead-letters +5(\.0)? .*mail:a@example.com.*"),
    Example("alerts show mine", r'(?s).*"metric": "dead-letters".*'),
    Example("alerts silence mine --for 2h", r"mine is silenced until \S+Z \(in 1 h\)"),
    Example("alerts test mine", "1 test messages are being sent"),
    Example("alerts history", "Nothing has fired"),
    Example("alerts history mine", "Nothing has fired"),
    Example("alerts delete mine", "mine deleted"),
    Example("keys create Ana --role viewer --expires 90d", r"filas_\S+"),
    Example("keys list", r"ID +NAME +ROLE +KEY +STATE .*\n.* Ana +viewer +.*valid +in 89 d .*\n.*"),
    Example("keys revoke <key>", r"Ben \(viewer, .*…\) revoked"),
    Example("keys current", r"admin token \(admin\)"),
    Example("audit list --limit 1", r"TIME +WHO +ADDRESS +ACTION +SUBJECT +OUTCOME +CHANGE\n.*revokeKey.*"),
    Example("audit show <entry>", r'(?s).*"action": "putFlow".*'),
    Example("dashboard", r"http://127.0.0.1:\d+/dashboard/sign-in\?once=[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    Example("refusals list", r"RECEIVED +STATUS +REASON .*\n.*signature +POST /webhooks/shop .*"),
    Example("refusals groups", r"WEBHOOK +REASON +STATUS +COUNT .*\nshop +signature +401 +1 +1 .*"),
    Example("refusals show <refusal>", r'(?s).*"reason": "signature".*'),
    Example("analytics summary", r"(?s)FIGURE +COUNT +BEFORE .*received +0 .*"),
    Example("analytics show queue-total --queue webhook-processing", r"(?s)MINUTE +COUNT .*total +0 .*"),
    Example("analytics groups received", "No figures in this period"),
    Example("scaling show", r"(?s)WORKER +NOW +NEEDED +WAITING +WHY\ningest-worker .*notifier .*"),
    Example("scaling show notifier", r"WORKER .*\nnotifier .*"),
    Example("why <failed>", r"(?s)execution <failed>: .*"),
    Example("doctor --repair --dry-run", "(?s).+"),
    Example("webhooks delete shop", "shop deleted"),
    Example("channels delete mail", "mail deleted"),
    Example("flows delete greeting", "", code=1),
]  # fmt: skip


async def seeded(api: Api) -> Rows:
    """Rows of every kind, and their ids."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    await with_messages(api)
    [broken] = await failed(api, BROKEN)
    [waiting] = await failed(api, BROKEN, status="waiting-delay")
    await dead(api, 2)
    await delayed_job(api, "later")
    one = await conversation(api, "5511900000001")
    key = (await api.post("/keys", {"name": "Ben", "role": "viewer"})).data
    assert key
    messages = (await api.get("/notifications")).data
    contact = (await api.get(f"/conversations/{one}")).data["contactId"]
    [refused] = await stored(api, refusal())
    letter = (await api.get("/dead-letters?queue=webhook")).data[0]
    run = (await api.post("/replays", {"kind": "events", "rate": 0.1})).data
    ids = {
        "run": run["id"],
        "event": (await api.get("/events")).data[0]["id"],
        "failed": str(broken),
        "waiting": str(waiting),
        "conversation": str(one),
        "contact": contact,
        "letter": letter["id"],
        "key": key["id"],
        "entry": (await api.get("/audit?action=putFlow")).data[0]["id"],
        "refusal": str(refused),
    } | {
        name: next(row["id"] for row in messages if row["status"] == status)
        for name, status in (("undelivered", "failed"), ("queued", "queued"))
    }
    return Rows(ids)


async def test_every_command_calls_its_route(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands one after the other: their output, their exit codes, and no route without a command."""
    monkeypatch.setattr(flow_test_command, "WAIT_S", 0.2)
    monkeypatch.setattr(flow_test_command, "POLL_S", 0.02)
    rows = await seeded(api)
    wrong = []
    with recorded(monkeypatch) as calls:
        for example in EXAMPLES:
            run = await inside(api, *rows.text(example.command).split(), given=example.given)
            pattern = rows.text(example.out)
            if run.code != example.code or not re.fullmatch(pattern, run.out.rstrip("\n")):
                wrong.append(f"filas {example.command}: {run.code}\n{run.out}{run.err}")
    assert not wrong, "\n".join(wrong)
    answered = {next(route.operation_id for route in ROUTES if call.is_of(route)) for call in calls}
    assert {route.operation_id for route in ROUTES} - answered == set(), "these routes have no command"


def leaves(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its name below `filas`."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for below in command.list_commands(context):
        found = command.get_command(context, below)
        assert found is not None
        yield from leaves(found, f"{name} {below}".strip())


def test_every_command_has_an_example() -> None:
    """Here, or in the test that is named."""
    shown = {name for name, _ in leaves(program())}
    run = {name for name in shown for example in EXAMPLES if f"{example.command} ".startswith(f"{name} ")}
    assert shown - run - set(WITHOUT_API) == set()
    assert set(WITHOUT_API) - shown == set()


def test_every_command_prints_json() -> None:
    """With `--json`, except those that have nothing to print."""
    without = {
        name
        for name, command in leaves(program())
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == WITHOUT_JSON


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("clean --queue flow", "queues clean --queue flow"),
        ("flow list", "flows list"),
        ("flow export greeting", "flows export greeting"),
        ("job show later", "jobs show later"),
        ("jobs webhook delayed", "jobs list webhook delayed"),
        ("jobs --limit 1 webhook delayed", "jobs list webhook delayed --limit 1"),
        ("webhook list", "webhooks list"),
        ("webhook get shop", "webhooks show shop"),
        ("schedule list", "schedules list"),
        ("schedule get daily", "schedules show daily"),
        ("audit --action none", "audit list --action none"),
        ("scaling notifier --json", "scaling show notifier --json"),
    ],
)
async def test_names_of_earlier_versions_work(api: Api, old: str, new: str) -> None:
    """With the same output and exit code. They are not listed."""
    await api.put("/flows/greeting", FLOW)
    await delayed_job(api, "later")
    before, after = await inside(api, *old.split()), await inside(api, *new.split())
    assert (before.code, re.sub(r"\d+(\.\d+)?", "", before.out)) == (after.code, re.sub(r"\d+(\.\d+)?", "", after.out))
    group = program()
    assert isinstance(group, LazyGroup)
    assert not {"clean", "flow", "job", "webhook", "schedule"} & set(group.list_commands(click.Context(group)))


async def test_a_time_may_be_an_age(api: Api) -> None:
    """`--since 2h` is two hours ago; a time without a zone, and other texts, are refused."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    await failed(api, BROKEN)
    assert "http-status" in (await inside(api, "executions", "list", "--since", "2h")).out
    assert (await inside(api, "executions", "list", "--until", "2h")).out == "No executions\n"
    for wrong in ("noon", "2026-11-22T12:00:00", "2 h", "-2h"):
        run = await inside(api, "executions", "list", "--since", wrong)
        assert (run.code, "is neither a time" in run.err) == (2, True), wrong
