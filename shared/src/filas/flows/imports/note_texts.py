"""The codes of the notes of an import, each with the status that it gives its block and its text in English.

A code is part of the API and never changes. The pages have the texts in each language under the same codes.
"""

from collections.abc import Mapping
from typing import Final, Literal

_CHANGED: Final = "changed"
_LEFT_OUT: Final = "left-out"
_CARRIED: Final = "carried"

NOTE_TEXTS: Final[Mapping[str, tuple[Literal["carried", "changed", "left-out"], str]]] = {
    # what is the same, with an advice
    "no-node-needed": (_CARRIED, "No node is needed: the edge leads directly to what follows."),
    "joined-with-question": (_CARRIED, "The text is the prompt of the question after it."),
    "move-secret": (
        _CARRIED,
        "The header {header} seems to contain a secret: store it as a secret and write its name.",
    ),
    "long-titles": (_CARRIED, "A title has more than 20 characters, which WhatsApp refuses on a button: shorten it."),
    "many-choices": (_CARRIED, "There are more than 10 choices, which WhatsApp refuses: use several questions."),
    # what differs
    "prompt-added": (_CHANGED, "No text came before the question, so it asks with {prompt}: write a better prompt."),
    "markup": (_CHANGED, "The formatting is that of WhatsApp: *bold*, _italic_, ~struck~. Other channels may show it."),
    "sent-as-link": (_CHANGED, "It is sent as a link, because a chat cannot show it: {url}"),
    "embedded-file": (_LEFT_OUT, "The file is in the export itself. Publish it at an address, and send it from there."),
    "number-limits": (_CHANGED, "The limits {limits} are not checked: add a condition after the question."),
    "date-with-time": (_CHANGED, "Only the date is read: ask for the time or the second date in another question."),
    "checked-by-pattern": (_CHANGED, "The reply is checked by a pattern."),
    "multiple-choice": (_CHANGED, "The contact writes the choices as a text, because a question takes one choice."),
    "choices-from-list": (_CHANGED, "The choices of the variable {variable} are listed in the prompt."),
    "all-choices-shown": (_CHANGED, "All choices are shown: the conditions for showing them are not carried over."),
    "choices-cut": (_CHANGED, "Only the first {count} choices are carried over."),
    "pictures-before": (_CHANGED, "The pictures are sent before the question."),
    "rating-as-choice": (_CHANGED, "The rating is a choice from {first} to {last}."),
    "choice-value": (_CHANGED, "The value of the choice {title} is {value}."),
    "file-value": (_CHANGED, "The variable receives the file as an object: its address is the field url."),
    "reply-required": (_CHANGED, "The question cannot be skipped."),
    "unknown-variable": (_CHANGED, "The variable {name} does not exist, so its value is empty."),
    "unknown-block": (_CHANGED, "It led to a block that does not exist, so the path ends."),
    "rule-dropped": (_CHANGED, "A comparison cannot be expressed and is never true: {comparison}. Write it again."),
    "code-not-carried": (_CHANGED, "This code is not carried over, and the value is null: {code}. Write a template."),
    "approximated": (_CHANGED, "The value {value} is computed as {template}."),
    "contact-name-missing": (_CHANGED, "A conversation has no name of the contact, so the value is null: ask for it."),
    "share-by-execution": (_CHANGED, "The share is decided by the id of the execution, the same way each time."),
    "wait-cut": (_CHANGED, "The wait is cut to {limit}."),
    "cycle-delayed": (_CHANGED, "A delay of one second was added, because a cycle that never waits is not allowed."),
    "all-variables-sent": (_CHANGED, "The body contains all variables of the flow: remove what is not needed."),
    "path-not-carried": (_CHANGED, "This path of the response is not carried over: {path}. Write it in JMESPath."),
    "scheme-added": (_CHANGED, "The address had no scheme, so it begins with https:// now."),
    "method-changed": (_CHANGED, "The method {method} is not supported, so it is POST."),
    "needs-channel": (_CHANGED, "It is sent over the channel {channel}: store a channel with this id, or change it."),
    "needs-flow": (_CHANGED, "It runs the flow {flow}: import that flow under this id, or change it."),
    "attachments-left-out": (_CHANGED, "The attachments are not carried over: add their addresses to the node."),
    "waits-for-call": (
        _CHANGED,
        "It waits for a call of its address, which is execution.resumeUrls.{node} in templates.",
    ),
    "conversation-recipient": (_CHANGED, "It is sent to the contact of the conversation, over its channel."),
    "credentials": (_CHANGED, "Credentials are not exported: store a secret, and write it into the headers."),
    "expression-not-carried": (
        _CHANGED,
        "This expression is not carried over: {expression}. Its value is {variable}: set it.",
    ),
    "trigger-changed": (_CHANGED, "It is started by a webhook: store one for {product} that names this flow."),
    "schedule": (_CHANGED, "Times are not part of a flow: store a schedule that starts this flow ({times})."),
    "second-trigger": (_CHANGED, "The flow has one trigger, so what followed this one follows it too."),
    "trigger-added": (_CHANGED, "The workflow has no trigger, so one was added."),
    "runs-once-per-path": (_CHANGED, "Paths are not joined: what follows runs once for each path that arrives."),
    "runs-once": (_CHANGED, "What follows runs once, not once for each item: put a loop node before it."),
    "disabled": (_CHANGED, "It was switched off, so the edge leads directly to what follows."),
    "error-stops": (_CHANGED, "An error ends the execution with the status failed."),
    "batch-of-one": (_CHANGED, "The loop takes one item at a time."),
    # what is not here
    "not-published": (_LEFT_OUT, "The checks refuse it: {problem}"),
    "no-address": (_LEFT_OUT, "It has no address to call: add a node api with the address."),
    "empty": (_LEFT_OUT, "It is empty, so nothing was lost."),
    "unreachable": (_LEFT_OUT, "Nothing leads to it, so it never ran."),
    "only-in-browser": (_LEFT_OUT, "It runs in a browser, and a conversation has none."),
    "script": (_LEFT_OUT, "Code is not run: use a template, or call a service of yours with a node api."),
    "payment": (
        _LEFT_OUT,
        "Payments are not collected: make a payment link with a node api, send it, and wait for the call.",
    ),
    "google-sheets": (
        _LEFT_OUT,
        "There is no node for spreadsheets: publish the sheet as a web app, and call it with a node api.",
    ),
    "human-hand-over": (_LEFT_OUT, "Hand over to a person as the guide on hand-over describes, with a node notify."),
    "artificial-intelligence": (
        _LEFT_OUT,
        "Call the provider with a node api, and map the text of its response to a variable.",
    ),
    "service": (_LEFT_OUT, "There is no node for this service: call its API with a node api."),
    "unsupported": (_LEFT_OUT, "There is no node that does the same."),
    "comment": (_LEFT_OUT, "Comments are not carried over."),
    "event": (_LEFT_OUT, "A flow starts at its trigger only: {event} has no counterpart."),
    "answers-at-once": (_LEFT_OUT, "A webhook is answered when it is received, before the flow runs."),
    "nothing-to-send": (_LEFT_OUT, "It has no text and no file to send."),
}
