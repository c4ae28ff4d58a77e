"""A Postgres whose data directory is given up: what was committed is there again, also after the second time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.archived_postgres import ArchivedPostgres

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[ArchivedPostgres]:
    with ArchivedPostgres(tmp_path / "disk", tmp_path / "safe", log_path=tmp_path / "postgres.log") as server:
        server.execute("create table t (n integer)")
        yield server


def give_up(postgres: ArchivedPostgres) -> None:
    postgres.kill_all()
    before = postgres.data_dir
    postgres.give_up_data()
    assert not before.exists()
    postgres.start()
    postgres.wait_promoted()


def test_what_was_committed_survives_the_loss_of_the_data_directory(postgres: ArchivedPostgres) -> None:
    """In the backup, in the archive, and in the part of the log that was not archived yet."""
    postgres.execute("insert into t values (1)")
    postgres.back_up()
    postgres.execute("insert into t values (2)", "select pg_switch_wal()", "insert into t values (3)")
    give_up(postgres)
    assert postgres.execute("select n from t order by n").split() == ["1", "2", "3"]


def test_the_backup_is_good_for_more_than_one_loss(postgres: ArchivedPostgres) -> None:
    """Without and with a new backup after the first loss."""
    postgres.back_up()
    for number in (1, 2):
        postgres.execute(f"insert into t values ({number})")
        give_up(postgres)
    postgres.back_up()
    postgres.execute("insert into t values (3)")
    give_up(postgres)
    assert postgres.execute("select n from t order by n").split() == ["1", "2", "3"]


def test_a_new_backup_replaces_the_one_before(postgres: ArchivedPostgres, tmp_path: Path) -> None:
    """And the log that only that one needs."""
    postgres.back_up()
    for number in range(3):
        postgres.execute(f"insert into t values ({number})", "select pg_switch_wal()")
    directory = tmp_path / "safe" / "archive"

    def archived() -> set[str]:
        return {path.name for path in directory.iterdir() if not path.suffix}

    before = archived()
    assert before
    postgres.back_up()
    assert len(list((tmp_path / "safe" / "backups").iterdir())) == 1
    assert not before & archived()
