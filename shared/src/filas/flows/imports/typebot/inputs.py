"""Typebot's inputs, as nodes `input`. The text before an input is its prompt, as a contact sees it in Typebot."""

from collections.abc import Callable
from typing import Any, Final

from filas.flows.imports.foreign_fields import mapping, number, objects, text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.typebot.typebot_document import Block, Target
from filas.flows.imports.typebot.typebot_scope import Part, TypebotScope

MAX_RETRIES: Final = 20
"""Typebot repeats a question until the reply is valid."""

MAX_CHOICES: Final = 100
_NO_PROMPT: Final = "👇"
_RESERVED: Final = frozenset({"out", "invalid", "timeout", "error", "other"})
_URL: Final = r"^\s*(https?://)?[^\s/]+\.[^\s/]+(/\S*)?\s*$"
_TIME: Final = r"^\s*([01]?[0-9]|2[0-3])[:h][0-5][0-9]\s*$"

Choice = dict[str, str]


class Question:
    """The node of an input while it is built. `prompt` is the template of the text before it."""

    def __init__(self, block: Block, scope: TypebotScope, report: BlockReport, prompt: str) -> None:
        self.block, self.scope, self.report = block, scope, report
        self.prompt = prompt
        self.data: dict[str, Any] = {"maxRetries": MAX_RETRIES}
        variable = scope.variable(block.options.get("variableId"))
        if variable is not None:
            self.data["variable"] = variable
        again = scope.template(block.options.get("retryMessageContent"), report).strip()
        if again:
            self.data["retryPrompt"] = again

    def part(self, exits: list[tuple[str, Target]] | None = None) -> Part:
        """The part with the node. `exits` are the choices with edges of their own."""
        prompt = self.prompt.strip() or self._placeholder()
        node_id = self.scope.node(self.block, self.report, "input", {"prompt": prompt, **self.data}, word=self._word())
        leaving: list[tuple[str, str, Target | None]] = [(node_id, "out", None)]
        return Part(node_id, leaving + [(node_id, choice, target) for choice, target in exits or ()])

    def _word(self) -> str:
        words = {"choice input": "choose", "picture choice input": "choose", "cards": "choose", "rating input": "rate"}
        return words.get(self.block.type, f"ask-{self.block.type.removesuffix(' input')}")

    def _placeholder(self) -> str:
        labels = mapping(self.block.options.get("labels"))
        written = text(labels.get("placeholder")) or text(self.block.options.get("placeholder"))
        prompt = self.scope.template(written, self.report).strip() or _NO_PROMPT
        self.report.add("prompt-added", prompt=prompt)
        return prompt


def _asked(kind: str, check: Callable[[Question], None] | None = None) -> Callable[[Question], Part]:
    def convert(question: Question) -> Part:
        question.data["kind"] = kind
        if check is not None:
            check(question)
        return question.part()

    return convert


def _number_limits(question: Question) -> None:
    options = question.block.options
    limits = [f"{name} {text(options[name])}" for name in ("min", "max", "step") if text(options.get(name))]
    if limits:
        question.report.add("number-limits", limits=", ".join(limits))


def _date_notes(question: Question) -> None:
    if question.block.options.get("hasTime") or question.block.options.get("isRange"):
        question.report.add("date-with-time")


def _file_notes(question: Question) -> None:
    question.report.add("file-value")
    if question.block.options.get("isRequired") is False:
        question.report.add("reply-required")


def _pattern(pattern: str) -> Callable[[Question], Part]:
    def convert(question: Question) -> Part:
        question.data |= {"kind": "regex", "pattern": pattern}
        question.report.add("checked-by-pattern")
        return question.part()

    return convert


def _rating(question: Question) -> Part:
    options = question.block.options
    first = number(options.get("startsAt"))
    start = int(first) if first is not None and 0 <= first <= 100 else 1
    length = number(options.get("length"))
    count = min(max(int(length), 1), MAX_CHOICES) if length is not None else 5
    names = [str(start + index) for index in range(count)]
    question.data |= {"kind": "choice", "choices": [{"id": name, "title": name} for name in names]}
    labels = mapping(options.get("labels"))
    ends = [
        f"{name} = {label}"
        for name, side in ((names[0], "left"), (names[-1], "right"))
        if (label := question.scope.template(labels.get(side), question.report).strip())
    ]
    if ends:
        question.prompt = f"{question.prompt} ({', '.join(ends)})".strip()
    question.report.add("rating-as-choice", first=names[0], last=names[-1])
    return question.part()


def _choices(question: Question) -> Part:
    options = question.block.options
    listed = mapping(options.get("dynamicItems"))
    list_id = options.get("dynamicVariableId") or (listed.get("isEnabled") and listed.get("titlesVariableId"))
    variable = question.scope.variable(list_id)
    if variable is not None:
        question.report.add("choices-from-list", variable=variable)
        lines = f"{{% for choice in vars.{variable} %}}\n- {{{{ choice }}}}{{% endfor %}}"
        question.prompt = (question.prompt or _NO_PROMPT) + lines
        question.data["kind"] = "text"
        return question.part()
    found = _items(question)
    if not found:
        question.report.add("empty")
        return Part()
    if options.get("isMultipleChoice"):
        question.report.add("multiple-choice")
        question.prompt = "\n".join([question.prompt or _NO_PROMPT, *(f"- {choice['title']}" for choice, _ in found)])
        question.data["kind"] = "text"
        return question.part()
    choices = [choice for choice, _ in found]
    if any(len(choice["title"]) > 20 for choice in choices):
        question.report.add("long-titles")
    if len(choices) > 10:
        question.report.add("many-choices")
    question.data |= {"kind": "choice", "choices": choices}
    return question.part([(choice["id"], target) for choice, target in found if target is not None])


def _items(question: Question) -> list[tuple[Choice, Target | None]]:
    """The choices with the targets of their edges. The value of a choice is its title, as in Typebot."""
    block, document = question.block, question.scope.document
    found: list[tuple[Choice, Target | None]] = []
    used: set[str] = set()
    for item in block.items:
        if mapping(item.get("displayCondition") or mapping(item.get("options")).get("displayCondition")).get(
            "isEnabled"
        ):
            question.report.add("all-choices-shown")
        for path in objects(item.get("paths")) or [item]:
            if len(found) == MAX_CHOICES:
                question.report.add("choices-cut", count=MAX_CHOICES)
                return found
            title = _title(question, item, path, len(found) + 1)
            choice = {"id": _value(question, text(item.get("value")) or title, title, used), "title": title}
            target = document.target(path, block.id, text(path.get("id")))
            found.append((choice, target or document.target(item, block.id, text(item.get("id")))))
    return found


def _title(question: Question, item: dict[str, Any], path: dict[str, Any], count: int) -> str:
    """The title of a choice, in one line."""
    words = [text(item.get("content")) or text(item.get("title"))]
    if path is not item:
        words.append(text(path.get("text")))
    title = " · ".join(part for word in words if (part := " ".join(word.split())))
    return question.scope.template(title, question.report).strip() or str(count)


def _value(question: Question, wanted: str, title: str, used: set[str]) -> str:
    value = "".join(char for char in wanted if char.isprintable()).strip()
    if "{{" in value or not value or len(value) > 100 or value in _RESERVED:
        value = f"choice-{len(used) + 1}"
        question.report.add("choice-value", title=title, value=value)
    count = 2
    first = value
    while value in used:
        value = f"{first} ({count})"
        count += 1
    used.add(value)
    return value


def _pictures(question: Question) -> Part:
    """The pictures as messages, and then the choice."""
    block, scope, report = question.block, question.scope, question.report
    media = []
    for item in block.items:
        url = text(item.get("pictureSrc")) or text(item.get("imageUrl"))
        if url and not url.startswith("data:"):
            words = [text(item.get("title")), text(item.get("description"))]
            caption = scope.template("\n".join(word for word in words if word), report).strip()
            picture = {"kind": "image", "url": scope.template(url, report)}
            media.append(picture | ({"caption": caption} if caption else {}))
    asked = _choices(question)
    if not media or asked.entry is None:
        return asked
    report.add("pictures-before")
    first, last = asked.entry, ""
    for start in range(0, len(media), 10):
        node_id = scope.node(block, report, "message", {"media": media[start : start + 10]}, word="pictures", shift=-1)
        if last:
            asked.exits.append((last, "out", Target("", node_id)))
        else:
            asked.entry = node_id
        last = node_id
    scope.builder.connect(last, "out", first)
    return asked


INPUTS: Final[dict[str, Callable[[Question], Part]]] = {
    "text input": _asked("text"),
    "number input": _asked("number", _number_limits),
    "email input": _asked("email"),
    "phone number input": _asked("phone"),
    "date input": _asked("date", _date_notes),
    "file input": _asked("file", _file_notes),
    "url input": _pattern(_URL),
    "time input": _pattern(_TIME),
    "rating input": _rating,
    "choice input": _choices,
    "picture choice input": _pictures,
    "cards": _pictures,
    "cards input": _pictures,
}
