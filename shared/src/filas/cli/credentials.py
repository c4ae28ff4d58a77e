"""Where the command line finds the address of the API and its key: the environment, or the file of `filas login`.

A key is sent only to the address that it is for. So both come from the same place:

| environment | used |
|---|---|
| FILAS_API_KEY or FILAS_ADMIN_TOKEN | that key, at FILAS_URL or its default |
| only FILAS_URL | the stored key, if it is for that address |
| neither | the stored address and its key |
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

DEFAULT_URL: Final = "http://127.0.0.1:8081"
URL_VARIABLE: Final = "FILAS_URL"
ADMIN_VARIABLE: Final = "FILAS_ADMIN_TOKEN"
KEY_VARIABLES: Final = ("FILAS_API_KEY", ADMIN_VARIABLE)
LOGIN: Final = "the key of `filas login`"


class WrongSetting(click.ClickException):
    """A setting is missing or wrong. Exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of the API and the key for it. `source` names where the key is from."""

    url: str
    key: str
    source: str

    def __repr__(self) -> str:
        return f"Credentials({self.url!r}, …)"


def find(environ: Mapping[str, str]) -> Credentials:
    """Returns what the command line uses. Raises WrongSetting, which states what to set."""
    for variable in KEY_VARIABLES:
        if environ.get(variable):
            return Credentials(api_url(environ), checked_key(environ[variable], variable), variable)
    stored = read(environ)
    given = environ.get(URL_VARIABLE)
    if stored is not None and (not given or _same(api_url(environ), stored.url)):
        return stored
    if stored is not None:
        raise WrongSetting(f"the key of `filas login` is for {stored.url}, not for {given}: run `filas login {given}`")
    raise WrongSetting(
        "FILAS_ADMIN_TOKEN is not set (after `make up`: `set -a; . .filas/env` sets it; with a key: `filas login`)"
    )


def checked_key(text: str, source: str) -> str:
    """Returns the key. Raises WrongSetting if a header cannot have it."""
    if not text or not text.isascii() or not text.isprintable():
        reason = "is empty" if not text else "contains characters that a token cannot have"
        raise WrongSetting(f"{source} {reason}")
    return text


def api_url(environ: Mapping[str, str]) -> str:
    """Returns FILAS_URL or its default. Raises WrongSetting."""
    return checked_url(environ.get(URL_VARIABLE) or DEFAULT_URL, f"{URL_VARIABLE}=")


def checked_url(url: str, name: str = "") -> str:
    """Returns the URL. Raises WrongSetting, with `name` before it."""
    try:
        address = urlsplit(url)
        valid = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise WrongSetting(f"{name}{url!r} is not a URL such as {DEFAULT_URL}")
    return url


def path(environ: Mapping[str, str]) -> Path | None:
    """Returns the file of `filas login`; None if the user has no directory."""
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"], "filas", "login.json")
    return Path(environ["HOME"], ".config", "filas", "login.json") if environ.get("HOME") else None


def read(environ: Mapping[str, str]) -> Credentials | None:
    """Returns what `filas login` has stored, or None. Raises WrongSetting for a file that others can read, or that is
    damaged."""
    file = path(environ)
    if file is None:
        return None
    try:
        with file.open(encoding="utf-8") as opened:
            if os.fstat(opened.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise WrongSetting(f"other users can read {file}: run `chmod 600 {file}`, or `filas login` again")
            found = json.load(opened)
        return Credentials(checked_url(found["url"]), checked_key(found["key"], "the key"), LOGIN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WrongSetting(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WrongSetting(f"{file} is damaged: run `filas login` again") from None


def store(credentials: Credentials, environ: Mapping[str, str]) -> Path:
    """Stores address and key in a file that only the user can read. Returns its path. Raises WrongSetting."""
    file = path(environ)
    if file is None:
        raise WrongSetting("HOME is not set, so there is no place for the key")
    new = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A new file, so that the key is never in one that others can read, whatever was there before.
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump({"url": credentials.url, "key": credentials.key}, opened)
        new.replace(file)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise WrongSetting(f"{file} cannot be written ({error.strerror})") from None
    return file


def remove(environ: Mapping[str, str]) -> bool:
    """Deletes what `filas login` has stored. False if there was nothing."""
    file = path(environ)
    try:
        if file is not None:
            file.unlink()
            return True
    except FileNotFoundError:
        pass
    except OSError as error:
        raise WrongSetting(f"{file} cannot be deleted ({error.strerror})") from None
    return False


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
