"""`filas up` as a user runs it: a real process, its services, its servers, and a message in the terminal."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from filas_local.servers import PostgresServer, RedisServer
from tests.databases import copy_cluster
from tests.local.processes import STOP_TIMEOUT_S, alive, descendants, filas_up
from tests.waiting import eventually

pytestmark = pytest.mark.starts_processes

GREETING = "Olá, Maria! Filas answered 200."


@pytest.fixture
def home(tmp_path: Path, postgres_cluster: Path) -> Path:
    """A home with a Postgres that was set up before: creating one takes seconds."""
    home = tmp_path / "home"
    home.mkdir(mode=0o711)
    copy_cluster(postgres_cluster, home / "postgres")
    return home


async def test_the_printed_curl_line_ends_in_a_message_in_the_terminal(tmp_path: Path) -> None:
    """From an empty home to a delivered message. SIGTERM ends it with 0, no process is left, and the data is kept."""
    with filas_up(tmp_path / "home") as up:
        await up.until_up()
        token = (up.home / "admin-token").read_text().strip()
        assert token in up.output
        assert f"http://127.0.0.1:{up.ports['INGEST_PORT']}/webhooks/demo" in up.output
        assert re.search(
            rf"Dashboard: http://127.0.0.1:{up.ports['INGEST_ADMIN_PORT']}/dashboard/sign-in\?once=\S+\n", up.output
        )
        assert up.run_printed_curl() == 200
        await eventually(up.printed(GREETING))
        await eventually(up.printed("execution.ended flow_id=demo contact=+5511999990000 outcome=succeeded"))
        assert "execution.ended" in (up.home / "log" / "flow-runner.log").read_text()
        started = descendants(up.process.pid)
        assert up.signal(signal.SIGTERM) == 0
        assert [command for pid, command in started.items() if alive(pid)] == []

        up.start()
        await up.until_up()
        assert token in up.output
        assert up.run_printed_curl() == 200
        await eventually(up.printed(GREETING))
        assert up.signal(signal.SIGINT) == 0


async def test_what_is_killed_is_restarted_and_works(home: Path) -> None:
    """A worker is killed, then both servers: each is reported, and the next message arrives. At last `filas up` itself
    is killed: the kernel signals its children, and they end."""
    with filas_up(home) as up:
        await up.until_up()
        os.kill(up.pid_of("flow_runner"), signal.SIGKILL)
        assert up.run_printed_curl() == 200
        await eventually(up.printed("flow-runner died (terminated by SIGKILL): restarting it"))
        await eventually(up.printed("flow-runner was restarted (pid "))
        await eventually(up.printed(GREETING))

        for pid, command in descendants(up.process.pid).items():
            if "redis-server" in command or " -D " in command:
                os.kill(pid, signal.SIGKILL)
        await eventually(up.printed("redis was restarted (pid "))
        await eventually(up.printed("postgres was restarted (pid "))

        def accepted() -> bool:
            try:
                return up.run_printed_curl() == 200
            except OSError:
                return False

        await eventually(accepted)
        await eventually(up.printed(GREETING, times=2), timeout=60)

        started = descendants(up.process.pid)
        up.signal(signal.SIGKILL)
        await eventually(lambda: not any(alive(pid) for pid in started), timeout=60)


async def test_the_users_own_servers_are_used_and_migrated(
    tmp_path: Path, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    """With REDIS_HOST and DATABASE_URL set, no embedded server starts, and the database is migrated."""
    postgres_server.ensure_database("up_external")
    variables = {
        "DATABASE_URL": postgres_server.dsn("up_external"),
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "REDIS_DB": "63",
    }
    with filas_up(tmp_path / "home", **variables) as up:
        await up.until_up()
        commands = descendants(up.process.pid).values()
        assert not [command for command in commands if "redis-server" in command or "postgres" in command]
        assert up.run_printed_curl() == 200
        await eventually(up.printed(GREETING))
        assert postgres_server.execute("select count(*) from events", database="up_external") == "1"
        assert up.signal(signal.SIGTERM) == 0


async def test_a_process_that_keeps_dying_ends_the_run(tmp_path: Path, home: Path) -> None:
    """A notifier that always dies is restarted a few times. Then everything stops with exit code 1."""
    broken = tmp_path / "broken" / "notifier"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "__main__.py").write_text("raise SystemExit('the notifier is broken')")
    with filas_up(home, PYTHONPATH=str(broken.parent)) as up:
        assert up.process.wait(STOP_TIMEOUT_S) == 1
        assert "notifier died (exit status 1): restarting it" in up.output
        assert "the notifier is broken" in up.output
        assert "notifier keeps dying: giving up" in up.output
        assert "Filas is up" not in up.output


async def test_a_second_ctrl_c_does_not_wait_for_the_work_under_way(tmp_path: Path, home: Path) -> None:
    """A notifier that does not finish delays the stop. A second Ctrl-C ends everything with the exit code 130."""
    busy = tmp_path / "busy" / "notifier"
    busy.mkdir(parents=True)
    (busy / "__init__.py").touch()
    (busy / "__main__.py").write_text(
        "import signal, sys, time\n"
        "def drain(*_):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "    print('the notifier drains', flush=True)\n"
        "signal.signal(signal.SIGTERM, drain)\n"
        "print('the notifier works', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    with filas_up(home, PYTHONPATH=str(busy.parent)) as up:
        await eventually(up.printed("the notifier works"), timeout=60)
        started = descendants(up.process.pid)
        up.process.send_signal(signal.SIGINT)
        await eventually(up.printed("the notifier drains"))
        assert up.process.poll() is None
        assert up.signal(signal.SIGINT) == 130
        assert "Ctrl-C again stops at once" in up.output
        assert "stopping at once" in up.output
        await eventually(lambda: not any(alive(pid) for pid in started), timeout=60)


async def test_a_port_in_use_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    """Exit code 2, as for every wrong setting, and no server is created."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with filas_up(tmp_path / "home", INGEST_PORT=port) as up:
            assert up.process.wait(STOP_TIMEOUT_S) == 2
            assert up.output == f"port in use: 127.0.0.1:{port}; set INGEST_PORT to a free port\n"
            assert not (up.home / "postgres").exists()
