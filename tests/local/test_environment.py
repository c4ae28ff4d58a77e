"""The environment of a local run: defaults, the user's variables, and settings that are refused at once."""

import socket
import subprocess
from pathlib import Path

import pytest

from filas_local import environment
from filas_local.home import Home
from filas_local.launching import WrongSetting
from tests.ports import free_port

KEYS = {"DATABASE_URL": "postgresql:///x", "FILAS_SECRET_KEY": "k" * 32, "FILAS_ADMIN_TOKEN": "t" * 32}


def free_ports() -> dict[str, str]:
    return {name: str(free_port()) for name in environment.PORTS}


def test_the_defaults_serve_and_the_users_variables_win() -> None:
    """The defaults are loopback, console log and the documented ports. An empty variable counts as not set."""
    variables = environment.with_defaults({"INGEST_PORT": "9080", "LOG_FORMAT": "", "REDIS_DB": ""})
    assert variables["INGEST_PORT"] == "9080"
    assert variables["INGEST_ADMIN_PORT"] == "8081"
    assert variables["LOG_FORMAT"] == "console"
    assert variables["ADMIN_HOST"] == "127.0.0.1"


def test_the_public_url_follows_the_public_port() -> None:
    """Resume addresses lead to the port that the user chose, unless PUBLIC_URL is set."""
    assert environment.with_defaults({"INGEST_PORT": "9080"})["PUBLIC_URL"] == "http://127.0.0.1:9080"
    assert environment.with_defaults({"PUBLIC_URL": "https://hooks.example"})["PUBLIC_URL"] == "https://hooks.example"


EXPORTED = {
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": "6400",
    "REDIS_PASSWORD": "secret",
    "DATABASE_URL": "postgresql://filas@/filas?host=/tmp/gone/pg",
    environment.EMBEDDED_REDIS: "127.0.0.1:6400",
    environment.EMBEDDED_DATABASE_URL: "postgresql://filas@/filas?host=/tmp/gone/pg",
}
"""What a shell has after `set -a; . .filas/env`."""


def test_the_servers_of_an_earlier_local_run_are_not_the_users_own() -> None:
    """A shell that has read `.filas/env` names servers that have stopped: the next run starts embedded ones again."""
    variables = environment.with_defaults(EXPORTED)
    assert environment.uses_embedded_redis(variables)
    assert environment.uses_embedded_postgres(variables)
    assert not variables.keys() & EXPORTED.keys()


def test_servers_that_the_user_names_after_that_are_used() -> None:
    """An address that differs from the exported one is the user's own."""
    given = EXPORTED | {"DATABASE_URL": "postgresql://db.example/filas", "REDIS_HOST": "redis.example"}
    variables = environment.with_defaults(given)
    assert variables["DATABASE_URL"] == "postgresql://db.example/filas"
    assert variables["REDIS_HOST"] == "redis.example"


@pytest.mark.parametrize("name", ["REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"])
def test_a_redis_that_the_user_names_is_used(name: str) -> None:
    """No embedded Redis starts."""
    assert environment.uses_embedded_redis({name: ""})
    assert not environment.uses_embedded_redis({name: "1"})


def test_a_port_in_use_is_one_line_with_its_variable() -> None:
    """The line names the variable that selects another port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        variables = environment.with_defaults(KEYS | free_ports() | {"NOTIFIER_ADMIN_PORT": str(port)})
        with pytest.raises(
            WrongSetting, match=rf"^port in use: 127\.0\.0\.1:{port}; set NOTIFIER_ADMIN_PORT to a free port$"
        ):
            environment.check(variables)


def test_two_processes_on_one_port_are_refused() -> None:
    """Both variables are named."""
    ports = free_ports()
    ports["INGEST_ADMIN_PORT"] = ports["INGEST_PORT"]
    with pytest.raises(WrongSetting, match=r"INGEST_ADMIN_PORT and INGEST_PORT are both"):
        environment.check(environment.with_defaults(KEYS | ports))


def test_a_wrong_setting_of_any_process_is_found_first() -> None:
    """The settings class of each process is checked before anything starts."""
    variables = environment.with_defaults(KEYS | free_ports() | {"FLOW_RUNNER_CONCURRENCY": "many"})
    with pytest.raises(WrongSetting, match="FLOW_RUNNER_CONCURRENCY"):
        environment.check(variables)


def test_a_listener_on_all_interfaces_is_reached_on_loopback() -> None:
    """The printed address is 127.0.0.1, and an IPv6 address is written in brackets."""
    variables = environment.with_defaults({"INGEST_HOST": "0.0.0.0", "ADMIN_HOST": "::1"})
    assert environment.public_url(variables) == "http://127.0.0.1:8080"
    assert environment.admin_url(variables) == "http://[::1]:8081"


def test_keys_are_generated_once_and_private(tmp_path: Path) -> None:
    """The second run uses the token of the first one. Only the owner can read the file."""
    home = Home(tmp_path / "home")
    token = home.key("admin-token")
    assert len(token) >= 32
    assert Home(tmp_path / "home").key("admin-token") == token
    assert home.key("secret-key") != token
    assert (home.path / "admin-token").stat().st_mode & 0o077 == 0


def test_a_second_run_in_the_same_home_is_refused(tmp_path: Path) -> None:
    """Two runs would share data and servers. The error names the variable that separates them."""
    with Home(tmp_path).locked(), pytest.raises(WrongSetting, match="FILAS_HOME"), Home(tmp_path).locked():
        pass
    with Home(tmp_path).locked():
        pass


def test_a_home_that_cannot_be_made_names_its_variable(tmp_path: Path) -> None:
    """A file is at the path of the directory."""
    (tmp_path / "file").touch()
    with pytest.raises(WrongSetting, match="FILAS_HOME"):
        Home(tmp_path / "file" / "home")


@pytest.mark.starts_processes
def test_a_shell_can_read_the_environment_file(tmp_path: Path) -> None:
    """`set -a; . .filas/env` sets each variable unchanged, whatever its characters. Only the owner can read it."""
    home = Home(tmp_path)
    home.write_environment({"DATABASE_URL": "postgresql://a:it's $HOME@/x?host=/tmp/a b", "REDIS_PORT": "1"})
    script = f'set -a; . {home.path}/env; printf "%s" "$DATABASE_URL"'
    shown = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
    assert shown == "postgresql://a:it's $HOME@/x?host=/tmp/a b"
    assert (home.path / "env").stat().st_mode & 0o077 == 0
