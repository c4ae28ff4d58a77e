"""The fields of every node type, made from the types that check them. The meanings are here."""

from collections.abc import Iterator

import msgspec

from filas.flows.definition.flow_definition import Settings, Variable
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.nodes.node_data import FallibleData, NodeData
from tests.reference import struct_fields
from tests.reference.struct_fields import Row

MEANINGS = {
    "all.label": "a name for editors; it has no effect on a run",
    "fallible.onError": "what happens after the last attempt: `fail` ends the execution, `continue` leaves by `out`, "
    "`branch` leaves by `error`",
    "fallible.retry.maxAttempts": "the number of attempts, including the first",
    "fallible.retry.delayMs": "the wait after the first attempt",
    "fallible.retry.rate": "the factor by which each wait grows",
    "fallible.retry.maxDelayMs": "the longest wait",
    "fallible.retry.jitter": "`full`: a random part of the wait, which spreads the retries of many executions",
    "fallible.retry.on": "the failures that are retried: `timeout`, `communication`, `4xx`, `5xx`, or a status code",
    "message.await": "what the node waits for after its message is recorded: nothing, the provider's acceptance, or "
    "the delivery; `sent` by default if an edge leaves by `error`, otherwise `recorded`",
    "message.awaitMs": "how long it waits; afterwards the node is left by `out`; by default 60 s for `sent` and a "
    "day for `delivered`",
    "message.text": "the text to send",
    "message.media": "a file {`kind`, `url`, `caption`}: `image`, `video`, `audio`, `document` or `sticker`, the "
    "address from which the provider fetches it, and the text below it; or a list of files: each is a message of its "
    "own, in order",
    "message.buttons[].id": "the value that is returned when the contact presses the button",
    "message.buttons[].title": "the text on the button",
    "message.buttons[].url": "the address that the button opens, instead of `id`",
    "message.buttons[].description": "a second line, which makes the buttons a list where the channel has lists",
    "message.sections[].title": "the title of a section; required if there are several",
    "message.sections[].rows[].id": "the value that is returned when the contact chooses the row",
    "message.sections[].rows[].title": "the text of the row",
    "message.sections[].rows[].description": "the second line of the row",
    "message.listLabel": "the text on the button that opens the list",
    "message.header": "a line above a text with buttons or sections",
    "message.footer": "a line below a text with buttons or sections",
    "message.parseMode": "the markup of the text on Telegram; without it, the text is plain",
    "message.thread": 'the thread or topic, such as `{"threadTs":"1503435956.000247"}`, instead of that of the '
    "contact's message; `{}`: no thread",
    "message.template.name": "a template that the provider has approved",
    "message.template.language": "the language of the template",
    "message.template.parameters": "the values of the template, by position or by name",
    "message.channel": "another channel than that of the conversation",
    "message.to": "another recipient than the conversation's contact",
    "condition.logic": "`and`: all rules must match; `or`: one rule is enough",
    "condition.rules[].variable": "a template: the left operand",
    "condition.rules[].operator": "an operator of the [rules](templates.md#rules)",
    "condition.rules[].value": "the right operand",
    "condition.rules[].exact": "`true`: texts are compared with their case, accents and surrounding space",
    "condition.rules[].locale": "how numbers in texts are written, `en-US`; by default as in `settings.locale`",
    "condition.expression": "a CEL expression, instead of rules",
    "switch.cases[].id": "the handle of the case",
    "switch.cases[].label": "a name for editors",
    "switch.cases[].logic": "`and`: all rules must match; `or`: one rule is enough",
    "switch.cases[].rules[].variable": "a template: the left operand",
    "switch.cases[].rules[].operator": "an operator of the [rules](templates.md#rules)",
    "switch.cases[].rules[].value": "the right operand",
    "switch.cases[].rules[].exact": "`true`: texts are compared with their case, accents and surrounding space",
    "switch.cases[].rules[].locale": "how numbers in texts are written, `en-US`; by default as in `settings.locale`",
    "switch.cases[].expression": "a CEL expression, instead of rules",
    "api.method": "the HTTP method",
    "api.url": "the address",
    "api.headers": "headers by name",
    "api.query": "parameters that are added to the address; a list repeats the name, null omits it",
    "api.body": "JSON with templates, or a text",
    "api.timeoutMs": "the time limit for the whole call",
    "api.acceptStatus": "status codes besides 2xx that are not errors",
    "api.responseMapping[].variable": "the variable that is written",
    "api.responseMapping[].path": "JMESPath into `{status, headers, body}`",
    "api.onUncertain": "what happens after a call whose outcome is unknown: `retry` repeats it under the same "
    "idempotency key, `fail` fails the node",
    "api.answer": "`auto`: the response is read by its `Content-Type`; `text`: its body is a text",
    "delay.ms": "the length of the delay in milliseconds",
    "delay.every.seconds": "the length of the delay in seconds; exactly one unit is given",
    "delay.every.minutes": "the length in minutes",
    "delay.every.hours": "the length in hours",
    "delay.every.days": "the length in days, by the calendar of `timezone`",
    "delay.every.weeks": "the length in weeks, by the calendar of `timezone`",
    "delay.until": "the end of the delay: ISO 8601, or a template that yields ISO 8601, or seconds or milliseconds "
    "since 1970",
    "delay.cron": "five fields; the delay ends at the next matching moment",
    "delay.timezone": "the time zone of `cron`, and of an `until` without an offset, such as America/Sao_Paulo; by "
    "default `settings.timezone`, otherwise UTC",
    "delay.endOnReply": "the contact's next message ends the delay; `endedBy` in the output is then `reply`, "
    "otherwise `time`",
    "webhook.mode": "`trigger`: the flow starts here; `send`: an outgoing webhook; `wait`: waits for a callback",
    "webhook.url": "`send`: the address",
    "webhook.method": "`send`: the HTTP method",
    "webhook.headers": "`send`: headers by name",
    "webhook.body": "`send`: JSON with templates, or a text",
    "webhook.secret": "`send`: `whsec_…`, which signs according to Standard Webhooks",
    "webhook.timeoutMs": "`wait`: how long to wait; afterwards the node is left by `timeout`",
    "input.await": "`recorded`: the node waits also if its question was not delivered; by default such a question "
    "fails the node",
    "input.awaitMs": "has no effect: the node waits for its reply anyway",
    "input.prompt": "the question",
    "input.variable": "the variable that receives the reply",
    "input.kind": "what the reply must be; see [Replies](#replies)",
    "input.pattern": "for the kind `regex`: an RE2 pattern",
    "input.choices[].id": "the handle, and the value of the reply; the contact may send the id, the title or the "
    "number of the choice, in any case and with or without accents and punctuation",
    "input.choices[].title": "the text that the contact sees",
    "input.maxRetries": "how often the question is repeated after an invalid reply; afterwards the node is left by "
    "`invalid`",
    "input.retryPrompt": "the text of the repeated question, if it is not the prompt",
    "input.collectMs": "collects the messages of a burst: the reply ends when no message has arrived for so "
    "long, and its text is that of all messages, each on a line of its own",
    "input.timeoutMs": "how long to wait for each reply, by default `settings.conversation.idleMs`; afterwards "
    "the node is left by `timeout`",
    "set-variable.assignments[].variable": "the variable that is written",
    "set-variable.assignments[].value": "JSON with templates; a later assignment sees an earlier one",
    "loop.items": "a template that yields a list; the list is fixed when the loop starts",
    "loop.as": "the name of the current item under `loop`",
    "loop.maxIterations": "more items are an error",
    "notify.await": "what the node waits for after its message is recorded: nothing, the provider's acceptance, or "
    "the delivery; `sent` by default if an edge leaves by `error`, otherwise `recorded`",
    "notify.awaitMs": "how long it waits; afterwards the node is left by `out`; by default 60 s for `sent` and a "
    "day for `delivered`",
    "notify.channel": "the channel",
    "notify.to": "the recipient; of an e-mail, several addresses with commas, or a list",
    "notify.subject": "the subject of an e-mail",
    "notify.html": "the HTML part of an e-mail; values are escaped, except with the filter `raw`",
    "notify.text": "the text to send",
    "notify.cc": "addresses that get a copy: a text in which a comma separates them, or a list",
    "notify.bcc": "addresses that get a copy without being shown, as `cc`",
    "notify.replyTo": "the addresses to which an answer goes, as `cc`",
    "notify.attachments[].url": "the address of a file, which is fetched through the outbound guard; all files "
    "together have at most 8 MiB",
    "notify.attachments[].name": "the name of the file; by default the last part of the address",
    "notify.attachments[].contentType": "its type; by default the one that its address or its name states",
    "notify.parseMode": "the markup of the text on Telegram; without it, the text is plain",
    "notify.thread": 'the thread or topic, such as `{"threadTs":"1503435956.000247"}`',
    "subflow.flowId": "the flow to run",
    "subflow.version": "the version to run; by default the published one",
    "subflow.input": "by name: the subflow's `webhook.body`, and the values of its variables of these names",
    "subflow.output": "by variable of this flow: a template that sees the subflow's scope at its end, and its `output`",
    "end.status": "the final status of the execution",
    "end.output": "the output of the execution: JSON with templates",
    "settings.timeoutMs": "the time limit of an execution, waits included; afterwards it is `timed-out`",
    "settings.maxSteps": "the number of visits of all nodes together",
    "settings.maxVisitsPerNode": "the number of visits of one node; the error names the cycle",
    "settings.errorFlowId": "a flow that starts when an execution fails or times out",
    "settings.undeliveredFlowId": "a flow that starts when a message was not delivered and no node waits for it",
    "settings.locale": "how texts write numbers, dates and money, and how rules read numbers: `en-US`",
    "settings.timezone": "the IANA time zone of times without an offset; by default UTC",
    "settings.conversation.idleMs": "how long a question without `timeoutMs` is open, and any question after which "
    "another one was asked in the conversation; see [input](#input)",
    "settings.conversation.onNewStart": "`replace`: an execution that begins cancels those that wait in the "
    "conversation",
    "settings.conversation.restartOn": "texts such as `menu`: when the contact sends one, whatever waits in the "
    "conversation is cancelled, and the webhook's flow starts from its beginning",
    "variables[].name": "letters, digits, `_` and `-`",
    "variables[].type": "a written value is converted if nothing is lost, and refused otherwise",
    "variables[].default": "the value until one is written",
    "variables[].scope": "`conversation`: the value is kept for later executions of the conversation",
    "variables[].secret": "the value appears in no trace, and is stored encrypted",
}


def rows() -> Iterator[Row]:
    """Every field: of the flow itself, of all nodes, of nodes that can fail, and of each type."""
    yield from struct_fields.rows("settings", Settings)
    yield from (row._replace(field=f"[].{row.field}") for row in struct_fields.rows("variables", Variable))
    yield from struct_fields.rows("all", NodeData)
    common = {field.name for field in msgspec.structs.fields(NodeData)}
    yield from struct_fields.rows("fallible", FallibleData, common)
    common |= {field.name for field in msgspec.structs.fields(FallibleData)}
    for node_type, data in NODE_TYPES.items():
        yield from struct_fields.rows(node_type, data, common)


def owners() -> list[str]:
    """What has a table of fields: `settings`, `variables`, `all`, `fallible`, and every node type."""
    return ["settings", "variables", "all", "fallible", *NODE_TYPES]


def table(owner: str) -> str:
    """The fields of one owner."""
    own = [row for row in rows() if row.owner == owner]
    if not own:
        return "This node has no fields of its own.\n"
    lines = ["| field | takes | default | meaning |", "|---|---|---|---|"]
    for row in own:
        default = "required" if row.default is None else row.default
        meaning = MEANINGS.get(row.key, "")
        lines.append(f"| `{row.field.removeprefix('[].')}` | {row.takes} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"
