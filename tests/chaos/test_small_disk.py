"""The small disk: what was written stays, nothing can be added while it is full, and afterwards it can."""

from pathlib import Path

import pytest

from tests.chaos.small_disk import SmallDisk, why_no_disk

pytestmark = pytest.mark.starts_processes


@pytest.fixture(autouse=True)
def possible() -> None:
    if (reason := why_no_disk()) is not None:
        pytest.skip(reason)


def test_a_full_disk_refuses_writes_until_it_has_room(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        file = disk.directory / "file"
        file.write_bytes(b"a" * 100_000)
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.directory / "other").write_bytes(b"b" * 100_000)
        assert file.read_bytes() == b"a" * 100_000
        disk.free()
        (disk.directory / "other").write_bytes(b"b" * 100_000)
    assert list((tmp_path / "disk").iterdir()) == []


def test_an_empty_disk_can_be_full(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.directory / "file").write_bytes(b"b" * 10_000)
