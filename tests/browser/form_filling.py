"""Fills the form of a node as a person does, control by control, from the JSON Schema and the data that are wanted."""

import json
from collections.abc import Iterator
from typing import Any

from playwright.async_api import Locator

from filas.flows.definition.json_schema import json_schema
from filas.flows.definition.node_types import NODE_TYPES

SCHEMA = json_schema()
Described = dict[str, Any]
Path = tuple[str | int, ...]


def part_of(described: Described) -> str | None:
    """The name of the part that a type refers to."""
    return described["$ref"].rpartition("/")[2] if "$ref" in described else None


def arms(described: Described) -> list[Described]:
    """The types of a field, without null."""
    return [arm for arm in described.get("anyOf", [described]) if arm.get("type") != "null"]


def fields(part: str) -> dict[str, Described]:
    """The fields of a part that a form shows."""
    described = SCHEMA if part == "Flow" else SCHEMA["$defs"][part]
    return {name: each for name, each in described["properties"].items() if not each.get("x-editor", {}).get("hidden")}


def groups(part: str) -> list[dict[str, Any]]:
    """The alternatives of a part."""
    described = SCHEMA if part == "Flow" else SCHEMA["$defs"][part]
    found: list[dict[str, Any]] = described.get("x-editor", {}).get("alternatives", [])
    return found


def data_part(node_type: str) -> str:
    """The part that describes the data of a node type."""
    return NODE_TYPES[node_type].__name__


def key(path: Path) -> str:
    """A path as problems name it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def kind(described: Described) -> str:
    """Which control an arm has."""
    if "$ref" in described:
        return "interval" if part_of(described) == "Interval" else "object"
    if "enum" in described:
        return "choice"
    if described.get("type") == "object":
        is_texts = isinstance(described.get("additionalProperties"), dict)
        return "texts" if is_texts else "values"
    named = str(described.get("type", "any"))
    return {"boolean": "flag", "integer": "number", "array": "list"}.get(named, named)


class Samples:
    """Values for fields, each different, so that two fields cannot be confused."""

    def __init__(self) -> None:
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def of(self, described: Described, name: str = "") -> Any:
        """A value of a field, with every field in it that applies together."""
        arm = arms(described)[0]
        sort = kind(arm)
        if sort == "object":
            return self.part(part_of(arm) or "")
        if sort == "list":
            item = arm.get("items", {})
            return [self.of(item, name), self.of(item, name)]
        count = self._next()
        default = described.get("default")
        least = arm.get("minimum", 1)
        others = [value for value in arm.get("enum", ()) if value != default] or [None]
        is_text = described.get("x-editor", {}).get("text")
        values = {
            "interval": {"hours": count},
            "string": {"on": "429", "locale": "en-GB"}.get(name, f"{name}_{count}"),
            "number": min(least + count, arm.get("maximum", least + count)),
            "choice": others[count % len(others)],
            "flag": not default,
            "texts": {f"n{count}": f"v{count}"},
            "values": {f"n{count}": [count]},
            "any": f"{name}_{count}" if is_text else {"any": [count, "{{ vars.a }}"]},
        }
        return values[sort]

    def part(self, part: str, options: dict[str, str] | None = None) -> dict[str, Any]:
        """A part with every field that applies. `options`: the alternatives to take, by default the first ones that
        have fields."""
        chosen: dict[str, Any] = {}
        for group in groups(part):
            first = next(name for name, named in group["options"].items() if named)
            chosen[group["name"]] = (options or {}).get(group["name"], first)
        value: dict[str, Any] = {}
        for name, field in fields(part).items():
            owners = [group for group in groups(part) if any(name in option for option in group["options"].values())]
            if any(name not in group["options"].get(chosen[group["name"]], ()) for group in owners):
                continue
            value[name] = next((chosen[group["name"]] for group in groups(part) if group.get("by") == name), None)
            if value[name] is None:
                value[name] = self.of(field, name)
        return value

    def variants(self, part: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """Data with each option of each group of alternatives once. Yields the options and the data."""
        every = groups(part)
        if not every:
            yield {}, self.part(part)
        first = {group["name"]: next(name for name, named in group["options"].items() if named) for group in every}
        seen = []
        for group in every:
            for option in group["options"]:
                options = first | {group["name"]: option}
                if options not in seen:
                    seen.append(options)
                    yield options, self.part(part, options)


class Filling:
    """Fills the form that is shown. `prefix` is what its ids begin with."""

    def __init__(self, form: Locator, prefix: str) -> None:
        self._form = form
        self._prefix = prefix

    def at(self, path: Path, role: str = "") -> Locator:
        """The control of a path, or the element with a role there."""
        name = key(path) + (f"-{role}" if role else "")
        return self._form.locator(f'[data-key="{self._prefix}-{name}"]')

    async def part(self, part: str, value: dict[str, Any], options: dict[str, str], path: Path = ()) -> None:
        """Sets every field of a part."""
        for group in groups(part):
            option = options.get(group["name"]) or _option_of(group, value)
            chooser = self.at((*path, group["name"]), f"choice-{option}")
            if "by" not in group and await chooser.count():
                await chooser.check()
        first = [group["by"] for group in groups(part) if "by" in group]
        for name, field in sorted(fields(part).items(), key=lambda item: item[0] not in first):
            if name not in value:
                continue
            if field.get("x-editor", {}).get("advanced"):
                await self._open_rare(path)
            await self.field(field, value[name], (*path, name))

    async def _open_rare(self, path: Path) -> None:
        summary = self.at(path, "more")
        if not await summary.evaluate("summary => summary.parentElement.open"):
            await summary.click()

    async def field(self, field: Described, value: Any, path: Path) -> None:
        """Sets one field."""
        hints = field.get("x-editor", {})
        control = self.at(path)
        if len(arms(field)) > 1:
            taken = next(arm for arm in arms(field) if _fits(arm, value))
            name = {"string": "text", "values": "values"}.get(kind(taken), kind(taken))
            await self.at(path, f"choice-{name}").check()
        else:
            taken = arms(field)[0]
        sort = kind(taken)
        if sort == "object":
            await self.part(part_of(taken) or "", value, {}, path)
        elif sort == "list":
            await self._list(taken.get("items", {}), value, path)
        elif sort in ("texts", "values"):
            await self._pairs(value, path)
        elif sort == "choice":
            await control.select_option(str(value))
        elif sort == "flag":
            await control.set_checked(value)
        elif sort == "interval":
            ((unit, amount),) = value.items()
            await self.at(path, "unit").select_option(unit)
            await control.fill(str(amount))
        elif sort == "number":
            if hints.get("format") == "duration-ms":
                await self.at(path, "unit").select_option("ms")
            await control.fill(str(value))
        elif sort == "any" and not hints.get("text"):
            await self.at(path, "mode").select_option("json")
            await control.fill(json.dumps(value))
        else:
            await control.fill(value)
            await control.blur()

    async def _list(self, item: Described, values: list[Any], path: Path) -> None:
        for index, value in enumerate(values):
            place = (*path, index)
            there = self.at(place, "remove")
            if not await there.count():
                await self.at(path, "add").click()
            if "$ref" in item:
                await self.part(part_of(item) or "", value, {}, place)
            else:
                await self.field(item, value, place)

    async def _pairs(self, values: dict[str, Any], path: Path) -> None:
        for index, (name, value) in enumerate(values.items()):
            if not await self.at((*path, index), "name").count():
                await self.at(path, "add").click()
            await self.at((*path, index), "name").fill(name)
            await self.at((*path, index), "value").fill(value if isinstance(value, str) else json.dumps(value))


def _option_of(group: dict[str, Any], value: dict[str, Any]) -> str:
    for option, named in group["options"].items():
        if any(name in value and sum(name in each for each in group["options"].values()) == 1 for name in named):
            return str(option)
    return str(next(iter(group["options"])))


def _fits(arm: Described, value: Any) -> bool:
    fits = {"list": list, "object": dict, "values": dict, "string": str, "text": str}
    return isinstance(value, fits[kind(arm)])
