"""Which properties of a body a form has."""

from typing import Any

import msgspec

from ingest.dashboard.definition_forms.definition_form import DefinitionForm
from ingest.dashboard.definition_forms.list_fields import Rows


def properties_of(body: Any, without: frozenset[str]) -> set[str]:
    """The paths of the properties of a body: those of an object inside, and the columns of a list of objects
    (`to[].channel`)."""
    (reference,), components = msgspec.json.schema_components([body])
    found = set(_paths(components[reference["$ref"].rpartition("/")[2]], components, ""))
    return {path for path in found if path.partition(".")[0].partition("[")[0] not in without}


def _paths(schema: dict[str, Any], components: dict[str, Any], place: str) -> list[str]:
    paths: list[str] = []
    for name, one in schema["properties"].items():
        inner = _object(one, components)
        items = _object(one["items"], components) if isinstance(one.get("items"), dict) else None
        if inner is not None:
            paths += _paths(inner, components, f"{place}{name}.")
        elif items is not None:
            paths += _paths(items, components, f"{place}{name}[].")
        else:
            paths.append(place + name)
    return paths


def _object(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any] | None:
    for one in (schema, *schema.get("anyOf", ())):
        found = components.get(str(one.get("$ref", "")).rpartition("/")[2])
        if found is not None and "properties" in found:
            return dict(found)
    return None


def paths_of(form: DefinitionForm) -> set[str]:
    """The paths of the fields of a form, in the same spelling."""
    found = set()
    for one in form.fields:
        if isinstance(one, Rows) and one.shape == "objects":
            found |= {f"{one.path}[].{column.path}" for column in one.columns}
        else:
            found.add(one.path)
    return found
