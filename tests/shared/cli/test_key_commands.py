"""`filas keys`, `filas audit`, `filas login`: what they print, and where a key is stored and sent."""

import json
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from click.testing import CliRunner

from filas.cli import credentials, login_commands
from filas.cli.credentials import Credentials, WrongSetting
from filas.cli.key_commands import _change, keys
from filas.service.private_listener import serve_app
from tests.ingest.api.serving import TOKEN, Api, serving
from tests.shared.cli.running import Run, filas


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A running API."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with a config directory of its own, and without a key."""
    return {"XDG_CONFIG_HOME": str(tmp_path)}


async def as_admin(api: Api, *arguments: str) -> Run:
    """A command with the admin token."""
    return await filas(*arguments, environ={"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN})


async def test_a_key_is_created_listed_used_and_revoked(api: Api) -> None:
    """Standard output has the value alone, so that a script can store it."""
    assert "filas keys create" in (await as_admin(api, "keys", "list")).out
    created = await as_admin(api, "keys", "create", "Grafana", "--role", "viewer", "--expires", "90d")
    key = created.out.strip()
    assert (created.code, re.fullmatch(r"filas_[\w-]{43}", key) is not None) == (0, True)
    assert "not shown again" in created.err
    listed = await as_admin(api, "keys", "list")
    assert all(text in listed.out for text in ("Grafana", "viewer", key[:12], "valid", "admin token"))
    assert key not in listed.out
    environ = {"FILAS_URL": api.url, "FILAS_API_KEY": key, "FILAS_ADMIN_TOKEN": "not used"}
    assert (await filas("stats", environ=environ)).code == 0
    refused = await filas("keys", "list", environ=environ)
    assert (refused.code, "needs the role admin; the token has the role viewer" in refused.err) == (1, True)
    revoked = await as_admin(api, "keys", "revoke", key[:12])
    assert (revoked.code, revoked.out) == (0, f"Grafana (viewer, {key[:12]}…) revoked\n")
    assert "revoked" in (await as_admin(api, "keys", "list")).out
    gone = await filas("stats", environ=environ)
    assert (gone.code, "does not accept FILAS_API_KEY: it is revoked, expired" in gone.err) == (1, True)
    again = await as_admin(api, "keys", "revoke", key)
    assert (again.code, key in again.err, "filas keys list" in again.err) == (1, False, True)


async def test_a_key_is_revoked_by_its_id(api: Api) -> None:
    created = (await as_admin(api, "keys", "create", "x", "--role", "operator", "--json")).json
    revoked = await as_admin(api, "keys", "revoke", created["id"], "--json")
    assert (revoked.json["id"], revoked.json["revokedAt"] is None) == (created["id"], False)
    assert (await as_admin(api, "keys", "revoke", created["id"])).err == "Error: Conflict: the key is revoked already\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "--role"),
        (["x", "--role", "root"], "root"),
        (["x", "--role", "viewer", "--expires", "soon"], "neither a time (2026-11-22T12:00:00Z) nor an age"),
        (["x", "--role", "viewer", "--expires", "2999-01-01T00:00:00"], "neither a time"),
    ],
)
def test_wrong_arguments_of_a_key_are_refused(arguments: list[str], message: str) -> None:
    run = CliRunner().invoke(keys, ["create", *arguments])
    assert (run.exit_code, message in run.stderr, run.stdout) == (2, True, "")


async def test_a_key_that_the_api_refuses_is_reported(api: Api) -> None:
    run = await as_admin(api, "keys", "create", "x", "--role", "viewer", "--expires", "2020-01-01T00:00:00Z")
    assert (run.code, run.err, run.out) == (1, "Error: Invalid: expiresAt: the time is in the past\n", "")


async def test_the_audit_is_listed(api: Api) -> None:
    """With the fields that have changed. Filters are those of the API."""
    assert (await as_admin(api, "audit")).out == "No changes\n"
    await as_admin(api, "keys", "create", "Ana", "--role", "viewer")
    await api.post("/queue/flow/pause")
    await api.put("/channels/c", {"type": "console"})
    run = await as_admin(api, "audit", "--output", "wide")
    lines = run.out.splitlines()
    assert lines[0].split() == ["TIME", "WHO", "ADDRESS", "ACTION", "SUBJECT", "OUTCOME", "CHANGE"]
    assert [line.split()[4] for line in lines[1:]] == ["putChannel", "pauseQueue", "createKey"]
    assert "created" in lines[1]
    assert "paused: False → True" in lines[2]
    filtered = await as_admin(api, "audit", "--subject", "queue", "--who", "admin token", "--json")
    assert [entry["action"] for entry in filtered.json] == ["pauseQueue"]


def test_a_change_is_shown_in_a_few_words() -> None:
    entry: dict[str, Any] = {"action": "putX", "count": 1, "before": None, "after": {}}
    assert _change(entry) == "created"
    assert _change(entry | {"action": "deleteX", "before": {}, "after": None}) is None
    assert _change(entry | {"before": {"a": 1}, "after": {"a": 1, "revision": 2}}) is None
    assert _change(entry | {"before": {"a": 1, "b": {}}, "after": {"a": 2, "b": {"c": 1}}}) == "a: 1 → 2, b: {} → …"
    assert _change(entry | {"before": {}, "after": dict.fromkeys("abcde", 1)}).endswith("d: None → 1, …")  # type: ignore[union-attr]
    assert _change(entry | {"action": "signInFailed", "count": 7, "after": None}) == "7 times"


def modes(file: Path) -> list[int]:
    """The modes of a file, if it exists, and of its directory."""
    return [stat.S_IMODE(one.stat().st_mode) for one in (file, file.parent) if one.exists()]


async def test_login_stores_the_key_for_later_commands(api: Api, home: dict[str, str]) -> None:
    """In a file that only the user can read. `logout` deletes it."""
    key = (await as_admin(api, "keys", "create", "Ana", "--role", "viewer", "--expires", "1d")).out
    run = await filas("login", api.url, environ=home, given=key)
    file = Path(home["XDG_CONFIG_HOME"], "filas", "login.json")
    assert (run.code, f"signed in to {api.url} as Ana (viewer); stored in {file}" in run.out) == (0, True)
    assert "valid until" in run.out
    assert key.strip() not in run.out + run.err
    assert modes(file) == [0o600, 0o700]
    assert (await filas("stats", environ=home)).code == 0
    assert (await filas("stats", environ=home | {"FILAS_URL": api.url + "/"})).code == 0
    assert (await filas("logout", environ=home)).out == "the stored key is deleted\n"
    assert modes(file)[:1] == [0o700]
    assert (await filas("logout", environ=home)).code == 1
    missing = await filas("stats", environ=home)
    assert (missing.code, "filas login" in missing.err) == (2, True)


async def test_a_key_that_the_api_refuses_is_not_stored(api: Api, home: dict[str, str]) -> None:
    """Nor is one that no header can have, and the former one stays."""
    assert (await filas("login", api.url, environ=home, given=TOKEN + "\n")).code == 0
    for given, code in (("wrong\n", 1), ("schlüssel\n", 2)):
        run = await filas("login", api.url, environ=home, given=given)
        assert (run.code, given.strip() in run.out + run.err) == (code, False)
    assert (await filas("stats", environ=home)).code == 0


async def test_variables_go_before_the_stored_key(api: Api, home: dict[str, str]) -> None:
    """`login` reports that."""
    assert (await filas("login", api.url, environ=home, given=TOKEN)).code == 0
    wrong = home | {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": "wrong"}
    assert (await filas("stats", environ=wrong)).code == 1
    run = await filas("login", environ=wrong, given=TOKEN)
    assert (run.code, "FILAS_ADMIN_TOKEN is set" in run.err) == (0, True)


def stored(home: dict[str, str], url: str = "http://127.0.0.1:8081") -> Path:
    return credentials.store(Credentials(url, "filas_key", ""), home)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("https://filas.example.com", "filas_key")),
        ({"FILAS_URL": "https://Filas.example.com/"}, ("https://filas.example.com", "filas_key")),
        ({"FILAS_URL": "https://other.example.com"}, "is for https://filas.example.com, not for https://other"),
        ({"FILAS_URL": "http://filas.example.com"}, "is for https://filas.example.com, not for http://filas"),
        ({"FILAS_ADMIN_TOKEN": "local"}, ("http://127.0.0.1:8081", "local")),
        ({"FILAS_API_KEY": "k", "FILAS_ADMIN_TOKEN": "local"}, ("http://127.0.0.1:8081", "k")),
        ({"FILAS_URL": "https://a.example.com", "FILAS_API_KEY": "k"}, ("https://a.example.com", "k")),
        ({"FILAS_API_KEY": "line\nbreak"}, "FILAS_API_KEY contains characters"),
        ({"FILAS_URL": "nowhere"}, "FILAS_URL='nowhere' is not a URL"),
    ],
)
def test_a_key_is_sent_only_to_its_own_address(
    home: dict[str, str], environ: dict[str, str], expected: tuple[str, str] | str
) -> None:
    """The token of this machine does not go to the stored address, nor the stored key to another one."""
    stored(home, "https://filas.example.com")
    if isinstance(expected, str):
        with pytest.raises(WrongSetting) as refused:
            credentials.find(home | environ)
        assert expected in refused.value.message
        assert "filas_key" not in refused.value.message
    else:
        found = credentials.find(home | environ)
        assert (found.url, found.key) == expected
        assert found.key not in repr(found)


def test_the_file_is_refused_if_others_can_read_it(home: dict[str, str]) -> None:
    file = stored(home)
    for mode in (0o640, 0o604, 0o666):
        file.chmod(mode)
        with pytest.raises(WrongSetting, match="chmod 600"):
            credentials.find(home)
    assert stat.S_IMODE(stored(home).stat().st_mode) == 0o600
    assert credentials.find(home).key == "filas_key"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"url": 1, "key": 2}', '{"url": "http://a"}', "\xff"])
def test_a_damaged_file_is_one_line(home: dict[str, str], text: str) -> None:
    file = stored(home)
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongSetting, match=r"run `filas login` again|is not a URL"):
        credentials.find(home)


def test_without_a_home_nothing_is_stored(tmp_path: Path) -> None:
    assert credentials.read({}) is None
    with pytest.raises(WrongSetting, match="HOME"):
        credentials.store(Credentials("http://a", "k", ""), {})
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert credentials.read({"HOME": str(occupied)}) is None
    with pytest.raises(WrongSetting, match="cannot be written"):
        credentials.store(Credentials("http://a", "k", ""), {"HOME": str(occupied)})
    home = {"HOME": str(tmp_path)}
    assert stored(home) == tmp_path / ".config" / "filas" / "login.json"


def test_a_file_of_the_former_login_is_replaced_and_not_written(home: dict[str, str]) -> None:
    """A program that has it open does not get the new key."""
    file = stored(home)
    with file.open() as former:
        credentials.store(Credentials("http://b", "another", ""), home)
        assert "another" not in former.read()
    assert json.loads(file.read_text()) == {"url": "http://b", "key": "another"}
    assert os.listdir(file.parent) == ["login.json"]


@asynccontextmanager
async def redirecting(target: str) -> AsyncIterator[str]:
    """A server that answers every request with a redirect to `target`."""

    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    async with serve_app(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


async def test_the_key_does_not_follow_a_redirect(api: Api) -> None:
    """The API never redirects."""
    async with redirecting(f"{api.url}/api/queue/stats") as url:
        run = await filas("stats", environ={"FILAS_URL": url, "FILAS_ADMIN_TOKEN": TOKEN})
    assert (run.code, "302" in run.err) == (1, True)


@pytest.mark.parametrize(
    ("url", "warned"), [("http://10.9.8.7:1", True), ("http://127.0.0.1:9", False), ("http://[::1]:9", False)]
)
async def test_a_key_without_encryption_is_warned_about(
    url: str, warned: bool, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_commands, "_who", lambda _: {"name": "x", "role": "viewer", "expiresAt": None})
    run = CliRunner().invoke(login_commands.login, [url], input="key\n", env=home)
    assert (run.exit_code, "is not https" in run.output) == (0, warned)
