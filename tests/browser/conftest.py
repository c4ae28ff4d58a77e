"""A browser, and a clinic that works. All tests of this package share both, in one event loop."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from filas.repository import roles
from filas_local.servers import PostgresServer, RedisServer
from tests.browser import chromium, editor_lab
from tests.browser.clinic import Clinic, opened_clinic
from tests.browser.editor_lab import EditorLab
from tests.browser.visitors import Visitors
from tests.databases import Databases
from tests.ports import free_port

HERE = Path(__file__).parent
MISSING = "there is no Chromium: run `make test-browser`, which installs Debian's, or name one by FILAS_CHROMIUM"
TIMEOUT_S = 400
DATABASE = "clinic"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests here. Without Chromium they are skipped, unless FILAS_TEST_BROWSER is set."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        item.add_marker(pytest.mark.timeout(TIMEOUT_S))
        item.add_marker(pytest.mark.starts_processes)
        if chromium.find() is None and not chromium.REQUIRED:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    program = chromium.find()
    assert program is not None, MISSING
    async with chromium.running(program) as browser:
        yield browser


@pytest.fixture(scope="session")
def clinic_stores(
    postgres_server: PostgresServer, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The addresses of Redis and Postgres that the clinic has for itself until the end of the run."""
    databases.clone(DATABASE)
    with RedisServer(tmp_path_factory.mktemp("clinic-redis"), port=free_port(), fsync="no") as redis:
        yield redis.url, postgres_server.dsn(DATABASE, user=roles.WRITE)
    databases.drop(DATABASE)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clinic(clinic_stores: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    """The clinic after a morning's work."""
    async with opened_clinic(*clinic_stores, tmp_path_factory.mktemp("clinic")) as clinic:
        await clinic.work()
        yield clinic


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def visitors(browser: Browser, clinic: Clinic) -> Visitors:
    """Opens the dashboard in a role and a look."""
    return Visitors(browser, clinic)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def open_lab(browser: Browser) -> AsyncIterator[EditorLab]:
    """A page with the modules of the flow editor."""
    async with editor_lab.opened(browser) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="session")
async def lab(open_lab: EditorLab) -> AsyncIterator[EditorLab]:
    """The same page for each test. Its faults fail the test in which they occur."""
    yield open_lab
    faults, open_lab.watch.faults = open_lab.watch.faults, []
    assert not faults, "\n".join(faults)
