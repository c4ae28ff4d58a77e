"""Reads a settings class from environment variables.

The variable of a field is its name in capitals: `redis_port` is `REDIS_PORT`. An empty variable counts as not set,
because Docker Compose passes unset variables as empty ones. This module does not read `os.environ`: the caller passes
the variables to `load`.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from filas.errors import SettingsError
from filas.settings.setting_groups import Group
from filas.settings.value_types import Addresses, HostNames, NamePatterns, Networks, Ports, Recipients, Secret, decode

SettingsType = TypeVar("SettingsType", bound=Group)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable. `default` is its default as it is written; None means that it must be set."""

    name: str
    description: str
    default: str | None
    secret: bool


def load(settings_type: type[SettingsType], environ: Mapping[str, str]) -> SettingsType:
    """Returns the settings in `environ`.

    Raises SettingsError with one line that names the variable and states what is expected. It never repeats the value
    of a secret.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(settings_type, include_extras=True)
    for field in msgspec.structs.fields(settings_type):
        group = _group(hints[field.name])
        if group is not None:
            values[field.name] = load(group, environ)
            continue
        name = field.name.upper()
        text = environ.get(name, "").strip()
        if text:
            values[field.name] = _convert(name, text, hints[field.name])
        elif field.required:
            raise SettingsError(f"{name} is not set: {_description(hints[field.name])}")
    return settings_type(**values)


def variables(settings_type: type[Group]) -> list[Variable]:
    """Returns every variable that `load` reads for this class, in the order of its fields."""
    found: list[Variable] = []
    hints = get_type_hints(settings_type, include_extras=True)
    for field in msgspec.structs.fields(settings_type):
        hint = hints[field.name]
        group = _group(hint)
        if group is not None:
            found += variables(group)
            continue
        found.append(
            Variable(
                name=field.name.upper(),
                description=_description(hint),
                default=None if field.required else _written(field.default),
                secret=Secret in _alternatives(hint),
            )
        )
    return found


def _group(hint: Any) -> type[Group] | None:
    return hint if isinstance(hint, type) and issubclass(hint, Group) else None


def _written(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _metas(hint: Any) -> list[Meta]:
    return [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Meta)]


def _description(hint: Any) -> str:
    return next((meta.description for meta in reversed(_metas(hint)) if meta.description), "")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Returns the types of the value: `(int, NoneType)` for `Annotated[int | None, …]`."""
    plain = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    arguments = get_args(plain)
    return arguments if arguments and not isinstance(arguments[0], str) else (plain,)


def _convert(name: str, text: str, hint: Any) -> Any:
    kinds = _alternatives(hint)
    if getattr(kinds[0], "__origin__", None) is Literal or bool in kinds:
        text = text.lower()
    try:
        return msgspec.convert(text, hint, strict=False, dec_hook=decode)
    except (msgspec.ValidationError, ValueError):
        raise SettingsError(f"{name}={text!r} is not {_expected(hint, kinds)}") from None


def _expected(hint: Any, kinds: tuple[Any, ...]) -> str:
    words = {
        Networks: "a list of networks such as 10.0.0.0/8,::1/128",
        Ports: "a list of ports such as 443,8443",
        Addresses: "a list of addresses such as host-a:26379,host-b:26379",
        HostNames: "a list of names such as localhost,filas.internal",
        Recipients: "a list of channels with recipients such as email:ops@example.com,slack:#ops",
        NamePatterns: "a list of names and patterns such as SECRET_*,STRIPE_KEY",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
    }
    for kind in kinds:
        if getattr(kind, "__origin__", None) is Literal:
            return f"one of {', '.join(get_args(kind))}"
    sentence = next((words[kind] for kind in kinds if kind in words), "a text")
    least = [meta.ge for meta in _metas(hint) if meta.ge is not None]
    most = [meta.le for meta in _metas(hint) if meta.le is not None]
    if least and most:
        return f"{sentence} from {least[0]} to {most[0]}"
    return f"{sentence} of at least {least[0]}" if least else sentence
