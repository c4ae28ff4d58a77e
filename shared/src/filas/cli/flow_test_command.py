"""`filas flows test`: runs a flow as a test and shows its trace."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from filas.cli import saved_tests
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.flow_test_chat import passed, show_chat
from filas.cli.json_documents import read_document, read_json, read_object
from filas.cli.output import as_json, is_wide, show_json, show_problems, show_table, shown

WAIT_S = 60.0
POLL_S = 0.5
MAX_REPLIES = 1000
MAX_VALUE = 300
WAITS = 3
"""The exit code of a run that waits for a reply or a call that was not given."""


@click.command()
@click.argument("subject", metavar="FILE|ID")
@click.option("--event", metavar="FILE", help="JSON: the body of the webhook that starts the flow.")
@click.option("--webhook", metavar="ID", help="Find contact and text in the event as this stored webhook does.")
@click.option("--contact", default="test", show_default=True, help="The contact.")
@click.option("--channel", default="test", show_default=True, help="The channel.")
@click.option("--text", help="The contact's first message.")
@click.option("--reply", "replies", metavar="TEXT", multiple=True, help="A reply of the contact; may be repeated.")
@click.option("--replies", "reply_file", metavar="FILE", help="JSON: a list of replies; null: the wait times out.")
@click.option("--no-reply", is_flag=True, help="After the replies, the contact does not reply: each wait times out.")
@click.option("--chat", is_flag=True, help="Show the chat between the contact and the flow instead of the trace.")
@click.option("--answers", metavar="FILE", help="JSON: the responses to the calls of each node.")
@click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="A variable; may be repeated.")
@click.option("--from", "node_id", metavar="NODE", help="Start at this node.")
@click.option("--version", type=click.IntRange(min=1), help="A version of a stored flow other than the published one.")
@click.option("--case", metavar="FILE", help="Run a saved test, and compare the run with what it expects.")
@click.option("--saved", is_flag=True, help="Run all saved tests of the flow.")
@click.option(
    "--id", "saved_of", metavar="ID", help="With --saved: the flow whose tests are run.  [default: FILE's name]"
)
@click.option("--real-secrets", is_flag=True, help="Use the real secrets, not `secret:NAME`; needs the role admin.")
@as_json
def test(
    subject: str, chat: bool, case: str | None, saved: bool, saved_of: str | None, as_json: bool, **given: Any
) -> None:
    """Run the flow in FILE (it need not be stored), or the stored flow ID, as a test.

    Nothing is sent: calls and messages are shown, and waits take no time. Exit code 0 if the flow succeeds, 1 if it
    fails, 3 if it waits for a reply or call that was not given. With `--case` and `--saved`: 0 if all is as expected,
    1 otherwise.
    """
    flow_id, body = _request(subject, given)
    client = from_environment()
    if saved:
        results = saved_tests.run_saved(client, saved_of or flow_id, body.get("definition"))
        sys.exit(saved_tests.show_results(results, as_json=as_json))
    if case is not None:
        request, expected = saved_tests.read_case(case)
        body = request | {name: body[name] for name in ("definition", "version", "realSecrets") if name in body}
        run = _run(client, flow_id, body)
        sys.exit(saved_tests.show_results([saved_tests.compared(case, expected, run)], as_json=as_json))
    run = _run(client, flow_id, body)
    if as_json:
        show_json(run)
    elif chat:
        show_chat(run)
        click.echo(f"\n{_verdict(run)}")
    else:
        _show(run)
    sys.exit(0 if run["status"] == "succeeded" else WAITS if run["status"].startswith("waiting-") else 1)


def _run(client: Client, flow_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Runs the test and returns its result. Raises CommandFailed."""
    try:
        run = client.post("flows", flow_id, "test", body=body)
    except CommandFailed as refusal:
        show_problems(refusal.errors)
        raise
    return _ended(client, flow_id, run)


def _request(subject: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the flow's id and the body of the request."""
    body: dict[str, Any] = {"replies": _replies(given), "vars": dict(map(_variable, given["variables"]))}
    if subject == "-" or subject.endswith(".json") or Path(subject).is_file():
        document = read_document(subject)
        flow_id = "unsaved" if subject == "-" else document.stem
        body["definition"] = document.value
        if given["version"] is not None:
            raise click.UsageError("--version needs the ID of a stored flow")
    else:
        flow_id = subject
    if given["event"] is not None:
        body["webhook"] = {"body": read_json(given["event"])}
    if given["webhook"] is not None:
        body["webhookId"] = given["webhook"]
    else:
        body["conversation"] = {"contact": given["contact"], "channel": given["channel"], "text": given["text"]}
    if given["real_secrets"]:
        body["realSecrets"] = True
    if given["answers"] is not None:
        body["answers"] = read_object(given["answers"])
    named = {"nodeId": given["node_id"], "version": given["version"]}
    return flow_id, body | {name: value for name, value in named.items() if value is not None}


def _replies(given: dict[str, Any]) -> list[Any]:
    replies = list(given["replies"])
    if given["reply_file"] is not None:
        if replies:
            raise click.UsageError("give either --reply or --replies")
        replies = read_json(given["reply_file"])
        if not isinstance(replies, list):
            raise click.UsageError(f"{given['reply_file']} does not contain a list")
    return replies + [None] * (MAX_REPLIES - len(replies)) if given["no_reply"] else replies


def _variable(text: str) -> tuple[str, Any]:
    """Parses `NAME=VALUE`. The value is JSON if it parses as JSON, otherwise a text."""
    name, separator, value = text.partition("=")
    if not separator:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _ended(client: Client, flow_id: str, run: dict[str, Any]) -> dict[str, Any]:
    """Waits for the end of the run and returns it. Raises CommandFailed if it does not end in WAIT_S seconds."""
    deadline = time.monotonic() + WAIT_S
    while run["status"] == "running":
        if time.monotonic() > deadline:
            raise CommandFailed(f"test run {run['id']} did not end within {WAIT_S:g} s: is a flow-runner running?")
        time.sleep(POLL_S)
        run = client.get("flows", flow_id, "test", run["id"])
    return run


def _show(run: dict[str, Any]) -> None:
    start = run["startedAt"]
    rows = [
        (step["seq"], step["nodeId"], step["type"], passed(start, step["startedAt"]), step["attempt"],
         step["handle"] if step["status"] == "succeeded" else step["status"], _outcome(step))
        for step in run["steps"]
    ]  # fmt: skip
    show_table(("STEP", "NODE", "TYPE", "AT", "ATTEMPT", "HANDLE", "OUTPUT"), rows, nothing="No steps")
    if run["calls"]:
        click.echo("\nNot sent in a test run:")
        calls = [(call["seq"], call["nodeId"], passed(start, call["at"]), _sent(call)) for call in run["calls"]]
        show_table(("STEP", "NODE", "AT", "WHAT"), calls, nothing="")
    if run["vars"]:
        click.echo("\nVariables:")
        show_table(("NAME", "VALUE"), [(name, _text(value)) for name, value in run["vars"].items()], nothing="")
    click.echo(f"\n{_verdict(run)}")


def _verdict(run: dict[str, Any]) -> str:
    words = f"{run['status']} after {passed(run['startedAt'], run['endedAt'])}"
    error = run["error"]
    if error:
        place = f" at {error['nodeId']}" if error.get("nodeId") else ""
        words += f"{place}: {error['kind']}: {error['message']}"
    if run["errorFlowId"]:
        words += f"; the error flow {run['errorFlowId']} would start"
    if run.get("undelivered"):
        count = run["undelivered"]
        words += "; 1 message was not delivered" if count == 1 else f"; {count} messages were not delivered"
        reason = next((call["deliveryError"] for call in run["calls"] if call.get("deliveryError")), None)
        words += f" ({shown(reason)})" if reason else ""
    if run.get("undeliveredFlowId"):
        words += f"; the flow {run['undeliveredFlowId']} for undelivered messages would start"
    if run["unusedReplies"]:
        words += f"; {run['unusedReplies']} replies were not used"
    if run["leftOut"]:
        words += f"; {run['leftOut']} steps and calls are not shown"
    return words


def _outcome(step: dict[str, Any]) -> str | None:
    if step["error"]:
        return f"{step['error']['kind']}: {step['error']['message']}"
    return None if step["output"] is None else _text(step["output"])


def _sent(call: dict[str, Any]) -> str:
    if call["method"] is None:
        content = call["payload"] or {}
        failed = f" ({call['delivery']}: {call['deliveryError']})" if call.get("deliveryError") else ""
        return f"to {call['to']} over {call['channel']}{failed}: {content.get('text') or _text(content)}"
    answer = call["answer"]
    ended = answer.get("error") or answer.get("status")
    return f"{call['method']} {call['url']} ({ended}) {'' if call['body'] is None else _text(call['body'])}"


def _text(value: Any) -> str:
    """Returns the value of a variable, output or body. A long one is cut, except with `--output wide`."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if is_wide() or len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
