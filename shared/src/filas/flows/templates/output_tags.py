"""The tags that write values: as JSON instead of Python, and escaped for the syntax that they are inserted into.

The context of a rendering has `insert` (None: values are written as they are) and `inserted(value, text, last_filter)`.
"""

from typing import Any, TextIO

from liquid import Token
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.expression import Expression

from filas.flows.templates.liquid_filters import text_of


def is_raw(expression: Expression) -> bool:
    """True if the filter `raw` is applied: the value is inserted as it is."""
    return isinstance(expression, FilteredExpression) and any(one.name == "raw" for one in expression.filters or ())


def last_filter(expression: Expression) -> str:
    """The name of the filter that is applied last; empty without one."""
    return expression.filters[-1].name if isinstance(expression, FilteredExpression) and expression.filters else ""


class _JsonOutputNode(OutputNode):
    """Writes objects and lists as JSON instead of Python, and applies the `insert` function of the rendering."""

    __slots__ = ("_is_raw", "_last_filter")

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        self._is_raw = is_raw(expression)
        self._last_filter = last_filter(expression)

    def render_to_output(self, context: Any, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        text = text_of(value)
        if context.insert is not None and not self._is_raw:
            text = context.inserted(value, text, self._last_filter)
        return buffer.write(text)


class _JsonOutput(Output):
    node_class = _JsonOutputNode


class _JsonEcho(EchoTag):
    node_class: Any = _JsonOutputNode


class _JsonCycleNode(CycleNode):
    """Writes its values as an output does."""

    __slots__ = ()

    def render_to_output(self, context: Any, buffer: TextIO) -> int:
        group = text_of(self.group.evaluate(context)) if self.group else ""
        values = [each.evaluate(context) for each in self.args]
        texts = [text_of(value) for value in values]
        index = context.cycle(group or str(texts), len(texts))
        if index >= len(texts):
            return 0
        text = texts[index]
        return buffer.write(text if context.insert is None else context.inserted(values[index], text, ""))


class _JsonCycle(CycleTag):
    node_class = _JsonCycleNode


class _UnescapedCaptureNode(CaptureNode):
    """Captured text is a value like any other: it is escaped once, where it is inserted."""

    __slots__ = ()

    def render_to_output(self, context: Any, buffer: TextIO) -> int:
        insert = context.insert
        context.insert = None
        try:
            return super().render_to_output(context, buffer)
        finally:
            context.insert = insert


class _UnescapedCapture(CaptureTag):
    node_class = _UnescapedCaptureNode


OUTPUT_TAGS = (_JsonOutput, _JsonEcho, _JsonCycle, _UnescapedCapture)
