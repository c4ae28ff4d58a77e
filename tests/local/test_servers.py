"""The embedded servers: quick to start, kept data, a clean end, and nothing left behind."""

import os
from pathlib import Path

import pytest

from filas_local.launching import LocalRunError
from filas_local.servers import PostgresServer, RedisServer, postgres_binary
from tests.local.processes import alive
from tests.waiting import eventually

pytestmark = pytest.mark.starts_processes


def test_redis_keeps_what_it_took_through_a_crash(tmp_path: Path) -> None:
    """An append-only file written at every command survives kill -9, under the same address and password."""
    with RedisServer(tmp_path / "redis", password="quiet", fsync="always") as server:
        server.execute("SET kept 1")
        url = server.url
        server.kill()
        assert not server.answers()
        server.start()
        assert server.url == url
        assert "$1\r\n1\r\n" in server.execute("GET kept")


def test_redis_refuses_a_client_without_the_password(tmp_path: Path) -> None:
    """Another user of the machine can open the port, and gets no further."""
    with RedisServer(tmp_path / "redis", password="quiet") as server:
        server.password = None
        assert "-NOAUTH" in server.execute("GET kept")


async def test_postgres_keeps_what_it_committed_through_a_crash(tmp_path: Path) -> None:
    """After kill -9 the same data directory starts again, and holds what was committed."""
    with PostgresServer(tmp_path / "postgres") as server:
        server.ensure_database()
        server.ensure_database()
        server.execute("create table kept as select 1 as one", database="filas")
        server.kill()
        await eventually(lambda: not server.answers())
        server.start()
        assert server.execute("select one from kept", database="filas") == "1"


def test_servers_leave_nothing_behind(tmp_path: Path) -> None:
    """After the context no process and no socket directory is left."""
    with RedisServer(tmp_path / "redis") as redis, PostgresServer(tmp_path / "postgres", durable=False) as postgres:
        pids = [redis.pid, postgres.pid]
        sockets = postgres.socket_dir
    assert all(pid is not None and not alive(pid) for pid in pids)
    assert not sockets.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_postgres_started_by_root_runs_as_another_user(tmp_path: Path) -> None:
    """Postgres refuses root; the directories above its data may be closed to other users."""
    tmp_path.chmod(0o700)
    with PostgresServer(tmp_path / "postgres", durable=False) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_a_server_that_cannot_start_reports_the_reason(tmp_path: Path) -> None:
    """The error is one line with the end of the server's log."""
    with RedisServer(tmp_path / "one") as first:
        second = RedisServer(tmp_path / "two", port=first.port, password="another")
        with pytest.raises(LocalRunError, match=r"^redis .*two\.log") as caught:
            second.start()
        assert "\n" not in str(caught.value)


def test_the_newest_carried_postgres_is_used() -> None:
    """The package carries two; production runs the newer kind."""
    assert "pginstall18" in postgres_binary("postgres")
