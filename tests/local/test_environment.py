"""What a local run makes of the user's variables, and what it refuses before anything starts."""

import socket
import subprocess
from pathlib import Path

import pytest

from filas_local import environment
from filas_local.home import Home
from filas_local.launching import WrongSetting
from tests.ports import free_port

KEYS = {"DATABASE_URL": "postgresql:///x", "FILAS_SECRET_KEY": "k" * 32, "FILAS_ADMIN_TOKEN": "t" * 16}


def free_ports() -> dict[str, str]:
    return {name: str(free_port()) for name in environment.PORTS}


def test_the_defaults_serve_and_the_users_variables_win() -> None:
    """Loopback, console log and the usual ports, unless the user says otherwise; empty is not set."""
    variables = environment.with_defaults({"INGEST_PORT": "9080", "LOG_FORMAT": "", "REDIS_DB": ""})
    assert variables["INGEST_PORT"] == "9080"
    assert variables["INGEST_ADMIN_PORT"] == "8081"
    assert variables["LOG_FORMAT"] == "console"
    assert variables["ADMIN_HOST"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER"])
def test_a_redis_that_the_user_names_is_used(name: str) -> None:
    """No embedded Redis beside the user's own."""
    assert environment.uses_own_redis({name: ""})
    assert not environment.uses_own_redis({name: "1"})


def test_a_taken_port_is_one_line_with_its_variable() -> None:
    """Somebody else listens there: the line says which variable moves us."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        variables = environment.with_defaults(KEYS | free_ports() | {"NOTIFIER_ADMIN_PORT": str(port)})
        with pytest.raises(
            WrongSetting, match=rf"^a port is taken: 127\.0\.0\.1:{port}; set NOTIFIER_ADMIN_PORT to a free one$"
        ):
            environment.check(variables)


def test_two_processes_on_one_port_are_refused() -> None:
    """Both variables are named."""
    ports = free_ports()
    ports["INGEST_ADMIN_PORT"] = ports["INGEST_PORT"]
    with pytest.raises(WrongSetting, match=r"INGEST_ADMIN_PORT is .* and so is INGEST_PORT"):
        environment.check(environment.with_defaults(KEYS | ports))


def test_a_wrong_setting_of_any_process_is_found_first() -> None:
    """The services' own settings classes are asked before anything starts."""
    variables = environment.with_defaults(KEYS | free_ports() | {"FLOW_RUNNER_CONCURRENCY": "many"})
    with pytest.raises(WrongSetting, match="FLOW_RUNNER_CONCURRENCY"):
        environment.check(variables)


def test_an_address_for_all_interfaces_is_called_on_loopback() -> None:
    """What listens everywhere is reached at 127.0.0.1; an IPv6 address gets its brackets."""
    variables = environment.with_defaults({"INGEST_HOST": "0.0.0.0", "ADMIN_HOST": "::1"})
    assert environment.public_url(variables) == "http://127.0.0.1:8080"
    assert environment.admin_url(variables) == "http://[::1]:8081"


def test_keys_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    """The second run has the first one's token; nobody else can read it."""
    home = Home(tmp_path / "home")
    token = home.key("admin-token")
    assert len(token) >= 32
    assert Home(tmp_path / "home").key("admin-token") == token
    assert home.key("secret-key") != token
    assert (home.path / "admin-token").stat().st_mode & 0o077 == 0


def test_a_second_run_in_the_same_home_is_refused(tmp_path: Path) -> None:
    """Two runs would share data and servers: the second is told which variable sets them apart."""
    with Home(tmp_path).locked(), pytest.raises(WrongSetting, match="FILAS_HOME"), Home(tmp_path).locked():
        pass
    with Home(tmp_path).locked():
        pass


def test_a_home_that_cannot_be_made_names_its_variable(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "file").touch()
    with pytest.raises(WrongSetting, match="FILAS_HOME"):
        Home(tmp_path / "file" / "home")


def test_a_shell_can_read_the_environment_file(tmp_path: Path) -> None:
    """`set -a; . .filas/env` gives each variable as it is, whatever characters it has; nobody else reads it."""
    home = Home(tmp_path)
    home.write_environment({"DATABASE_URL": "postgresql://a:it's $HOME@/x?host=/tmp/a b", "REDIS_PORT": "1"})
    script = f'set -a; . {home.path}/env; printf "%s" "$DATABASE_URL"'
    shown = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
    assert shown == "postgresql://a:it's $HOME@/x?host=/tmp/a b"
    assert (home.path / "env").stat().st_mode & 0o077 == 0
